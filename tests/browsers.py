# SPDX-License-Identifier: BSD-3-Clause
"""A real browser, Chromium without a window, which says what it makes of a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

ASK = """
<script>
addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const visible = (e) => { const box = e.getBoundingClientRect(); return box.width > 20 && box.height > 5; };
  const rgb = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (colour) => rgb(colour).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)/.test(colour) && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((p, q) => q - p);
    return (a + 0.05) / (b + 0.05);
  };
  const sliders = all("input[type=range]").map((input) => {
    const figure = input.closest("figure"), seen = [];
    for (let i = 0; i <= Number(input.max); i++) {
      input.value = i;
      input.dispatchEvent(new Event("input"));
      const shown = [...figure.querySelectorAll(".picture > img")].filter((image) => visible(image));
      seen.push([shown.length, shown[0].dataset.step, figure.querySelector("output").textContent,
        input.getAttribute("aria-valuetext")]);
    }
    return seen;
  });
  parent.postMessage(JSON.stringify({
    errors: window.errors, width: document.documentElement.scrollWidth, inner: innerWidth,
    sections: all("section").length, figures: all("figure").length, shown: all("figure").filter(visible).length,
    empty: all("figure").filter((f) => !visible(f.querySelector("img:not([hidden]), svg"))).length,
    broken: all("img").filter((image) => image.naturalWidth === 0).length,
    unnamed: all("img").filter((image) => !image.alt).length + all("input").filter((i) => !i.labels.length).length,
    headings: all("h1, h2").map((h) => h.tagName).join(" "), lang: document.documentElement.lang,
    contrast: Math.min(...all("p, h2, td, th, pre, code, strong, .text, output, label, .number, li").map(contrast)),
    back: light(getComputedStyle(document.body).backgroundColor),
    unreachable: all(".wide").filter((e) => e.tabIndex !== 0 && e.scrollWidth > e.clientWidth).length,
    sliders,
  }), "*");
});
</script>
"""
FRAME = """<!DOCTYPE html><iframe src="asked.html" style="width: {}px; height: 900px; border: 0"></iframe>
<script>onmessage = (event) => {{ document.title = event.data; }};</script>"""
WATCH = "<script>window.errors = []; onerror = (message) => { errors.push(String(message)); };</script>"


def browsed(page, folder, width, *options):
    """What a browser says of the page in a frame of this width: no window is as narrow as a phone."""
    file = folder / "asked.html"
    file.write_text(page.replace("<head>", "<head>" + WATCH).replace("</body>", ASK + "</body>"), encoding="utf-8")
    outside = folder / "frame.html"
    outside.write_text(FRAME.format(width), encoding="utf-8")
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"),
            *("--window-size=1400,1000", "--virtual-time-budget=5000", *options, "--dump-dom", outside.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)[1].replace("&amp;", "&"))

# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of every kind through the command line: what is kept, and what is refused because it would be lost."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest

from fastconv import wide_colours
from fastconv.__main__ import main

Image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.filterwarnings("error")  # they would reach stderr


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def picture(mode, size=(13, 9)):
    """A picture of that mode whose pixels differ."""
    width, height = size
    if mode in ("I", "F"):
        return Image.fromarray(noise(height, width, dtype=np.int32) // 2**8).convert(mode)
    if mode == "I;16":
        return Image.fromarray(noise(height, width, dtype=np.uint16))
    grey = mode in ("1", "L", "LA", "P", "PA")
    channels = noise(height, width, *(() if mode in ("1", "L", "P") else (2,) if grey else (4,)))
    if mode in ("1", "L", "LA", "RGBA"):
        return Image.fromarray(channels).convert(mode)
    if mode in ("P", "PA"):
        image = Image.fromarray(channels)
        image.putpalette(noise(256, 3).tobytes())
        assert image.mode == mode
        return image
    return Image.fromarray(channels[..., :3]).convert(mode)


@pytest.fixture
def fc(tmp_path, capsys, monkeypatch):
    """Function that runs a command in a folder of its own: exit code, what it said, what it complained about."""
    monkeypatch.chdir(tmp_path)

    def run(command):
        code = main(command.split())
        out, err = capsys.readouterr()
        assert (code == 0) == (err == "") and err.count("\n") <= 1
        return code, out, err

    return run


# every mode and format ----------------------------------------------------------------

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16")
BECOMES = {"1": "L", "P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB"}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_kept_or_refused(fc, mode):
    """The identity gives back every pixel in whatever format, or that format is refused with the reason."""
    source = "in.tif"
    picture(mode).save(source)
    with Image.open(source) as image:
        expected = image.convert(BECOMES.get(mode, mode))
    held = []
    formats = Image.registered_extensions()
    for name in ("png", "tif", "bmp", "gif", "ppm", "tga", "webp", "jpg", "ico", "pcx", "jp2", "sgi", "qoi", "im"):
        if formats.get(f".{name}") not in Image.SAVE:  # an older Pillow
            continue
        code, _, err = fc(f"filter {source} --kernel identity -o out.{name}")
        assert code in (0, 2)
        if code == 2:
            assert f"cannot write out.{name}: " in err and " hold" in err
        elif name not in ("jpg", "webp"):
            with Image.open(f"out.{name}") as image:
                np.testing.assert_array_equal(np.asarray(image.convert(expected.mode)), np.asarray(expected), name)
        held += [name] * (code == 0)
    assert "tif" in held
    assert ("png" in held) == (mode not in ("I", "F"))
    assert ("jpg" in held) == ("webp" in held and "A" not in mode) and ("webp" in held) == (mode[0] not in "IF")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "F"])
def test_every_orientation(fc, mode, orientation):
    image = picture(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save("in.tif", exif=exif)
    assert fc("filter in.tif --kernel identity -o out.tif")[0] == 0
    x = np.asarray(image)
    x = {2: x[:, ::-1], 3: x[::-1, ::-1], 4: x[::-1], 5: x.swapaxes(0, 1), 6: np.rot90(x, -1)}.get(orientation, x)
    x = {7: np.rot90(x[:, ::-1], -1), 8: np.rot90(x)}.get(orientation, x)
    with Image.open("out.tif") as got:
        np.testing.assert_array_equal(np.asarray(got), x)
        assert got.getexif().get(0x0112, 1) == 1


def png(colour, *planes):
    """A PNG of 16 bits, which Pillow reads and does not write."""
    pixels = np.stack(planes, -1).astype(">u2")

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


DEEP = {
    "rgb.png": png(2, *[noise(4, 5, dtype=np.uint16)] * 3),
    "rgba.png": png(6, *[noise(4, 5, dtype=np.uint16)] * 4),
    "la.png": png(4, *[noise(4, 5, dtype=np.uint16)] * 2),
    "rgb.ppm": b"P6 5 4 65535\n" + noise(4, 5, 3, dtype=np.uint16).tobytes(),
    "rgb10.ppm": b"P6 5 4 1023\n" + (noise(4, 5, 3, dtype=np.uint16) % 1024).astype(">u2").tobytes(),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("command", ["filter {} --kernel box", "find {} {}"])
def test_16_bit_colours_are_not_cut_to_8_in_silence(fc, tmp_path, name, command):
    (tmp_path / name).write_bytes(DEEP[name])
    command = command.format(name, name) + " -o out.png"
    code, _, err = fc(command)
    if command.startswith("filter") and name in ("rgb.png", "rgba.png"):
        assert code == 0  # they are kept
        return
    assert code == 2 and f"{name} would lose 8 of the 16 bits of its colours; --lossy" in err
    assert not (tmp_path / "out.png").exists()
    assert fc(command + " --lossy")[0] == 0 and (tmp_path / "out.png").exists()


@pytest.mark.parametrize("output", ["out.png", "out.tif"])
@pytest.mark.parametrize("source", ["in.png", "in.tif"])
@pytest.mark.parametrize("colours", [3, 4])
def test_16_bit_colours_are_kept(fc, tmp_path, profile, source, output, colours):
    x = noise(9, 13, colours, dtype=np.uint16)
    saved = wide_colours.WideImage(x, {})
    with (tmp_path / source).open("wb") as file:
        saved.save(file, {"png": "PNG", "tif": "TIFF"}[source[-3:]], icc_profile=profile, dpi=(300, 150))
    code, out, _ = fc(f"filter {source} --kernel sharpen -o {output}")
    assert code == 0 and f"16-bit RGB{'A' * (colours == 4)} 13 x 9" in out
    with Image.open(output) as image:
        assert image.info["icc_profile"] == profile and [round(float(n)) for n in image.info["dpi"]] == [300, 150]
    with (tmp_path / output).open("rb") as file:
        y = np.asarray(wide_colours.opened_wide(file))
    padded = np.pad(x[..., :3].astype(int), ((1, 1), (1, 1), (0, 0)), "edge")
    expected = 5 * padded[1:-1, 1:-1] - padded[:-2, 1:-1] - padded[2:, 1:-1] - padded[1:-1, :-2] - padded[1:-1, 2:]
    np.testing.assert_array_equal(y[..., :3], expected.clip(0, 65535))
    np.testing.assert_array_equal(y[..., 3:], x[..., 3:])
    assert fc(f"filter {source} --kernel sharpen -o {output} --compare")[0] == 0
    code, _, err = fc(f"filter {source} --kernel box -o out.jpg")
    assert code == 2 and "cannot write mode 16-bit RGB" in err and ".png and .tif hold 16 bits" in err
    assert fc(f"filter {source} --kernel box -o out.webp --lossy")[0] == 0


@pytest.mark.parametrize(("order", "compression"), [("<", None), (">", None), (">", "zlib"), ("<", "zlib")])
def test_16_bit_colours_of_others(fc, order, compression):
    """Files that another program has written are read as they are, and it reads ours."""
    tifffile = pytest.importorskip("tifffile")
    x = noise(9, 13, 4, dtype=np.uint16)
    how = {"photometric": "rgb", "extrasamples": ["unassalpha"], "compression": compression}
    tifffile.imwrite("in.tif", x, byteorder=order, predictor=compression is not None, **how)
    assert fc("filter in.tif --kernel identity -o out.tif")[0] == 0
    np.testing.assert_array_equal(tifffile.imread("out.tif"), x)
    assert fc("filter in.tif --kernel identity -o out.png")[0] == 0
    cv2 = pytest.importorskip("cv2")
    np.testing.assert_array_equal(cv2.imread("out.png", cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]], x)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_16_bit_colours_are_upright(fc, tmp_path, orientation):
    x = noise(9, 13, 3, dtype=np.uint16)
    held = wide_colours._tiff(x, None, None)
    count = struct.unpack_from("<H", held, at := struct.unpack_from("<I", held, 4)[0])[0]
    tag = struct.pack("<HHIHH", 274, 3, 1, orientation, 0)  # behind 273
    split = at + 2 + 12 * 6
    held = held[:at] + struct.pack("<H", count + 1) + held[at + 2 : split] + tag + held[split:]
    held = held.replace(
        struct.pack("<HHII", 258, 3, 3, at + 2 + 12 * count + 4), struct.pack("<HHII", 258, 3, 3, at + 18 + 12 * count)
    )
    (tmp_path / "in.tif").write_bytes(held)
    assert fc("filter in.tif --kernel identity -o out.tif")[0] == 0
    with (tmp_path / "out.tif").open("rb") as file:
        y = np.asarray(wide_colours.opened_wide(file))
    np.testing.assert_array_equal(y, {1: x, 3: x[::-1, ::-1], 6: np.rot90(x, -1)}[orientation])


@pytest.mark.parametrize("colours", [15, 255])
def test_ppm_of_few_bits_loses_nothing(fc, tmp_path, colours):
    (tmp_path / "in.ppm").write_bytes(f"P6 5 4 {colours}\n".encode() + noise(4, 5, 3).clip(0, colours).tobytes())
    assert fc("filter in.ppm --kernel identity -o out.png")[0] == 0


def test_grey_of_16_bits_stays_so_from_pgm(fc, tmp_path):
    """Pillow reads it as 32 bits: sharpened, it left the range of 16 bits and came back at the other end."""
    x = noise(4, 5, dtype=np.uint16)
    (tmp_path / "in.pgm").write_bytes(b"P5 5 4 65535\n" + x.astype(">u2").tobytes())
    for kernel in ("identity", "sharpen"):
        assert fc(f"filter in.pgm --kernel {kernel} -o out.png")[0] == 0
        with Image.open("out.png") as image:
            assert image.mode == "I;16"
            y = np.asarray(image)
        if kernel == "identity":
            np.testing.assert_array_equal(y, x)
    assert (y == 0).any() and (y == 65535).any()  # clipped


@pytest.mark.parametrize("name", ["in.tif", "in.gif", "in.png", "in.webp"])
def test_pages_are_not_left_behind_in_silence(fc, tmp_path, name):
    pages = [picture("RGB" if name != "in.gif" else "P", (13, 9)).rotate(90 * i) for i in range(5)]
    pages[0].save(name, save_all=True, append_images=pages[1:])
    for command in ("filter in --kernel identity -o out.tif", "find in in -o out.tif"):
        command = command.replace("in ", name + " ")
        code, _, err = fc(command)
        assert code == 2 and f"{name} would lose all but the first of its 5 pictures; --lossy" in err
        assert not (tmp_path / "out.tif").exists()
        assert fc(command + " --lossy")[0] == 0
        (tmp_path / "out.tif").unlink()


def test_previews_are_no_pages(fc):
    """Phones put them behind the photo."""
    picture("RGB").save("in.mpo", save_all=True, append_images=[picture("RGB", (4, 3))])
    assert fc("filter in.mpo --kernel box -o out.png")[0] == 0


# colour profile and resolution --------------------------------------------------------


@pytest.fixture
def profile():
    cms = pytest.importorskip("PIL.ImageCms")
    return cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("name", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_profile_and_resolution_are_kept(fc, profile, mode, name):
    picture(mode).save("in.tif", icc_profile=profile, dpi=(300, 150))
    if mode == "RGBA" and name == "jpg":
        return
    for command in ("filter in.tif --kernel box", "find in.tif in.tif"):
        code, out, _ = fc(f"{command} -o out.{name}")
        assert code == 0
        with Image.open(f"out.{name}") as image:
            coloured = command.startswith("find") and mode == "L"  # a frame is red
            assert image.info.get("icc_profile") == (None if coloured else profile)
            if name != "webp":
                assert [round(float(n)) for n in image.info["dpi"]] == [300, 150]
        assert ("resolution not kept" in out) == (name == "webp")


@pytest.mark.parametrize("name", ["bmp", "ppm", "tga"])
def test_a_profile_is_not_dropped_in_silence(fc, tmp_path, profile, name):
    picture("RGB").save("in.png", icc_profile=profile)
    code, _, err = fc(f"filter in.png --kernel box -o out.{name}")
    assert code == 2 and "does not keep the picture's colour profile; .png and .tif hold everything" in err
    assert not (tmp_path / f"out.{name}").exists()
    assert fc(f"filter in.png --kernel box -o out.{name} --lossy")[0] == 0


def test_a_profile_of_printing_colours(fc, profile):
    picture("CMYK").save("in.tif", icc_profile=profile)
    code, _, err = fc("filter in.tif --kernel box -o out.png")
    assert code == 2 and "in.tif would lose its colour profile, which is one of printing colours" in err
    assert fc("filter in.tif --kernel box -o out.png --lossy")[0] == 0


@pytest.mark.parametrize("dpi", [(0, 0), (1, 0), (72, 72), (299.9994, 299.9994)])
def test_odd_resolutions(fc, dpi):
    picture("RGB").save("in.tif", dpi=dpi)
    for name in ("png", "jpg", "tif", "bmp"):
        assert fc(f"filter in.tif --kernel box -o out.{name}")[0] == 0


# what formats do not hold -------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "name", "says"),
    [
        ("RGB", "gif", "GIF does not keep the picture's pixels; .png and .tif hold everything"),
        ("RGB", "ico", "ICO does not keep the picture's pixels"),
        ("I;16", "jpg", "cannot write mode I;16 as JPEG; .png and .tif hold 16 bits"),
        ("I;16", "webp", "WEBP does not keep the picture's pixels; .png and .tif hold 16 bits"),
        ("I", "png", "; .tif holds 32 bits"),
        ("F", "png", "cannot write mode F as PNG; .tif holds floats"),
        ("RGBA", "jpg", "cannot write mode RGBA as JPEG; .png and .tif hold everything"),
        ("LA", "jpg", "cannot write mode LA as JPEG; .png and .tif hold everything"),
    ],
)
def test_what_a_format_does_not_hold_has_a_hint(fc, tmp_path, mode, name, says):
    picture(mode, (300, 310)).save("in.tif")
    code, _, err = fc(f"filter in.tif --kernel identity -o out.{name}")
    assert code == 2 and says in err
    assert not (tmp_path / f"out.{name}").exists()


def test_warnings_of_pillow_are_told_once(fc, monkeypatch, capsys):
    """Three lines of Python's, with the path of a module, were what a user saw."""
    picture("RGB").save("in.png")
    convert = Image.Image.convert

    def warn(image, *arguments):
        for _ in range(3):
            warnings.warn("Corrupt\nEXIF data", stacklevel=2)
            warnings.warn("old", DeprecationWarning, stacklevel=2)
        return convert(image, *arguments)

    monkeypatch.setattr(Image.Image, "convert", warn)
    assert main(["filter", "in.png", "--kernel", "box", "-o", "out.jpg"]) == 0
    assert capsys.readouterr().err == "fastconv: in.png: Corrupt EXIF data\n"


@pytest.mark.parametrize("name", ["pdf", "eps"])
def test_what_pillow_cannot_read_again_is_written(fc, name):
    picture("RGB").save("in.png")
    assert fc(f"filter in.png --kernel box -o out.{name}")[0] == 0


def test_a_file_that_cannot_be_read_again_is_not_left(fc, tmp_path, monkeypatch):
    picture("RGB").save("in.png")
    monkeypatch.setitem(Image.SAVE, "BMP", lambda image, file, name: file.write(b"nonsense"))
    code, _, err = fc("filter in.png --kernel box -o out.bmp")
    assert code == 2 and "BMP does not keep the picture's pixels" in err
    assert not (tmp_path / "out.bmp").exists()


# size ---------------------------------------------------------------------------------


def bomb(width, height):
    """A PNG of that many pixels in a few hundred bytes."""
    whole = io.BytesIO()
    Image.new("L", (1, 1)).save(whole, "PNG")
    data = bytearray(whole.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("size", [(13_000, 13_000), (2**31 - 1, 1000), (10_000, 8_948)], ids=str)
@pytest.mark.parametrize("command", ["filter bomb.png --kernel box -o out.png", "find bomb.png bomb.png"])
def test_more_pixels_than_allowed(fc, tmp_path, command, size):
    (tmp_path / "bomb.png").write_bytes(bomb(*size))
    code, _, err = fc(command)
    assert code == 2 and "bomb.png: more than 89478485 pixels; --max-pixels allows more" in err


def test_max_pixels(fc):
    before = Image.MAX_IMAGE_PIXELS
    picture("L", (20, 10)).save("in.png")
    command = "filter in.png --kernel box -o out.png"
    for most, expected in ((200, 0), (199, 2), (99, 2), (10**12, 0)):
        assert fc(f"{command} --max-pixels {most}")[0] == expected
        assert fc(f"find in.png in.png --max-pixels {most}")[0] == expected
    for most in ("0", "-1", "many"):
        code, _, err = fc(f"{command} --max-pixels {most}")
        assert code == 2 and "--max-pixels" in err
    assert before == Image.MAX_IMAGE_PIXELS

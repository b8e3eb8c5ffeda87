# SPDX-License-Identifier: BSD-3-Clause
"""The command line: pictures in, pictures out, and a plain line for every mistake."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv import kernels
from fastconv.__main__ import main
from fastconv.commands.kernel_words import TAKES

pytestmark = pytest.mark.filterwarnings("error")  # they would reach stderr

SOBEL_X = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image")


@pytest.fixture
def save(pillow, tmp_path):
    """Write an array (or a Pillow image) as a picture, return its path as text."""

    def write(picture, name="in.png", **options):
        if isinstance(picture, np.ndarray):
            picture = pillow.fromarray(picture)
        picture.save(tmp_path / name, **options)
        return str(tmp_path / name)

    return write


@pytest.fixture
def run(pillow, tmp_path):
    """Filter a picture; return mode and pixels of the result."""

    def filtered(photo, *options, name="out.png"):
        output = tmp_path / name
        assert main(["filter", photo, "-o", str(output), *options]) == 0
        with pillow.open(output) as image:
            return image.mode, np.asarray(image)

    return filtered


def noise(*shape, dtype=np.uint8, seed=7):
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, shape, dtype, endpoint=True)


def by_hand(x, kernel, pad="edge", **options):
    """Correlate two-dimensional integers one pixel at a time."""
    h, w = np.shape(kernel)
    above, left = (h - 1) // 2, (w - 1) // 2
    x = np.pad(x.astype(int), ((above, h - 1 - above), (left, w - 1 - left)), pad, **options)
    rows, columns = x.shape[0] - h + 1, x.shape[1] - w + 1
    return np.array([[(x[i : i + h, j : j + w] * kernel).sum() for j in range(columns)] for i in range(rows)])


# pictures -----------------------------------------------------------------------------


def test_grey(save, run):
    x = noise(9, 13)
    mode, y = run(save(x), "--kernel", "sobel-x")
    assert mode == "L"
    np.testing.assert_array_equal(y, abs(by_hand(x, SOBEL_X)).clip(0, 255))


def test_boundaries(save, run):
    x = noise(9, 13)
    photo = save(x)
    for boundary in ("edge", "reflect", "symmetric", "wrap", "constant"):
        _, y = run(photo, "--kernel", "sobel-y", "--boundary", boundary)
        expected = abs(by_hand(x, np.transpose(SOBEL_X), boundary)).clip(0, 255)
        np.testing.assert_array_equal(y, expected, boundary)
    _, y = run(photo, "--kernel", "sharpen", "--boundary", "constant", "--fillvalue", "99")
    expected = by_hand(x, kernels.sharpen(dtype=int), "constant", constant_values=99)
    np.testing.assert_array_equal(y, expected.clip(0, 255))


def test_rgb_filters_each_colour_by_itself(save, run):
    x = noise(8, 10, 3)
    mode, y = run(save(x), "--kernel", "emboss")
    assert mode == "RGB"
    for c in range(3):
        expected = by_hand(x[..., c], kernels.emboss(dtype=int)).clip(0, 255)
        np.testing.assert_array_equal(y[..., c], expected)


@pytest.mark.parametrize(("channels", "mode"), [(2, "LA"), (4, "RGBA")], ids=["LA", "RGBA"])
def test_alpha_is_kept(save, run, channels, mode):
    x = noise(8, 10, channels)
    got_mode, y = run(save(x), "--kernel", "sharpen")
    assert got_mode == mode
    np.testing.assert_array_equal(y[..., -1], x[..., -1])
    expected = by_hand(x[..., 0], kernels.sharpen(dtype=int)).clip(0, 255)
    np.testing.assert_array_equal(y[..., 0], expected)


def test_alpha_follows_the_size(save, run):
    x = noise(8, 10, 4)
    photo = save(x)
    _, y = run(photo, "--kernel", "box", "--mode", "valid")
    np.testing.assert_array_equal(y[..., 3], x[1:-1, 1:-1, 3])
    _, y = run(photo, "--kernel", "box", "--mode", "full", "--size", "2")
    np.testing.assert_array_equal(y[..., 3], np.pad(x[..., 3], ((1, 0), (1, 0)), "edge"))


def test_palette(pillow, save, run):
    palette = noise(4, 3)
    index = noise(8, 10) % 4
    image = pillow.fromarray(index)
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    mode, y = run(save(image), "--kernel", "identity")
    assert mode == "RGB"
    np.testing.assert_array_equal(y, palette[index])
    mode, y = run(save(image, transparency=1), "--kernel", "identity")
    assert mode == "RGBA"
    np.testing.assert_array_equal(y[..., 3], np.where(index == 1, 0, 255))


def test_bilevel_and_cmyk(pillow, save, run):
    x = noise(8, 10) > 127
    mode, y = run(save(x), "--kernel", "identity")
    assert mode == "L"
    np.testing.assert_array_equal(y, x * 255)
    image = pillow.new("CMYK", (10, 8), (255, 0, 0, 0))
    mode, y = run(save(image, "in.tif"), "--kernel", "identity")
    assert mode == "RGB"
    assert (y == (0, 255, 255)).all()


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit(save, run, dtype):
    x = noise(9, 13, dtype=np.uint16)
    photo = save(x.astype(dtype), "in.tif")
    for name in ("out.tif", "out.png"):
        mode, y = run(photo, "--kernel", "sharpen", name=name)
        assert mode == "I;16"
        expected = by_hand(x, kernels.sharpen(dtype=int)).clip(0, 65535)
        np.testing.assert_array_equal(y, expected)


def test_float_and_32_bit_keep_their_values(save, run):
    x = noise(9, 13) / np.float32(16) - 3
    mode, y = run(save(x, "in.tif"), "--kernel", "sharpen", name="out.tif")
    assert mode == "F"
    np.testing.assert_array_equal(y, by_hand(16 * x, kernels.sharpen()) / 16)
    x = noise(9, 13, dtype=np.int32) // 8
    mode, y = run(save(x, "in.tif"), "--kernel", "laplacian", name="out.tif")
    assert mode == "I"
    np.testing.assert_array_equal(y, abs(by_hand(x, kernels.laplacian(dtype=int))))


def test_upright(pillow, save, run):
    x = noise(8, 10)
    exif = pillow.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    _, y = run(save(x, exif=exif), "--kernel", "identity")
    np.testing.assert_array_equal(y, np.rot90(x, -1))


# kernels and ranges -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sobel", "scharr", "prewitt"])
def test_gradient_magnitude(save, run, name):
    x = noise(9, 13) // 16
    _, y = run(save(x), "--kernel", name)
    across, down = (by_hand(x, make(dtype=int)) for make in kernels.NAMED[name])
    expected = np.rint(np.hypot(across, down)).clip(0, 255)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", kernels.NAMED)
def test_every_name_runs(save, run, name):
    assert run(save(noise(9, 13)), "--kernel", name, "--check")[1].shape == (9, 13)


def test_size_and_mode(save, run):
    photo = save(noise(9, 13))
    for mode, shape in (("same", (9, 13)), ("valid", (5, 9)), ("full", (13, 17))):
        options = "--kernel", "gaussian", "--size", "5", "--mode", mode
        assert run(photo, *options)[1].shape == shape


@pytest.mark.parametrize("name", TAKES["size"])
def test_size(save, run, name):
    x = noise(9, 13) // 16
    _, y = run(save(x), "--kernel", name, "--size", "7", "--range", "abs")
    first, *rest = (by_hand(x, make(size=7)) for make in kernels.NAMED[name])
    np.testing.assert_allclose(y, np.rint(abs(np.hypot(first, *rest) if rest else first)).clip(0, 255), atol=1)


def test_default_sizes(save, run, capsys):
    photo = save(noise(9, 13))
    for name, size in (("log", 9), ("dog", 9), ("unsharp", 5), ("gabor", 21), ("sobel", 3)):
        run(photo, "--kernel", name)
        assert f" {name} {size} x {size}, " in capsys.readouterr().out


def test_box_rounds_to_nearest(save, run):
    x = noise(9, 13)
    _, y = run(save(x), "--kernel", "box")
    np.testing.assert_array_equal(y, np.rint(by_hand(x, np.ones((3, 3))) / 9))


def test_ranges(save, run):
    x = noise(9, 13)
    photo = save(x)
    exact = by_hand(x, SOBEL_X)
    for rule, expected in (
        ("clip", exact.clip(0, 255)),
        ("abs", abs(exact).clip(0, 255)),
        ("auto", abs(exact).clip(0, 255)),
        ("stretch", np.rint((exact - exact.min()) * (255 / np.ptp(exact)))),
    ):
        _, y = run(photo, "--kernel", "sobel-x", "--range", rule)
        np.testing.assert_allclose(y, expected, atol=rule == "stretch", err_msg=rule)
    _, y = run(photo, "--kernel", "sobel-x", "--range", "stretch")
    assert (y.min(), y.max()) == (0, 255)
    _, flat = run(save(x * 0 + 9), "--kernel", "box", "--range", "stretch")
    assert not flat.any()


def test_kernel_files(save, run, tmp_path):
    x = noise(9, 13)
    photo = save(x)
    kernel = np.array([[1, -2, 0], [0.5, 1, 0]])
    np.save(tmp_path / "k.npy", kernel)
    (tmp_path / "k.txt").write_text("1, -2, 0\n\n0.5 1 0\n")
    expected = np.rint(by_hand(x, kernel, "constant")[:-1, 1:-1]).clip(0, 255)
    for name in ("k.npy", "k.txt"):
        _, y = run(photo, "--kernel", str(tmp_path / name), "--mode", "valid")
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n1 -2 0\n0.5 1 0\n",
        "1 -2 0  # the first row\n\n  # and\n0.5, 1, 0",
        "\ufeff1;-2;0".replace(";", "\t") + "\r\n.5\t1\t0\r\n",
    ],
)
def test_kernel_texts(save, run, tmp_path, text):
    x = noise(9, 13)
    (tmp_path / "k.txt").write_text(text, encoding="utf-8", newline="")
    _, y = run(save(x), "--kernel", str(tmp_path / "k.txt"), "--mode", "valid")
    kernel = [[1, -2, 0], [0.5, 1, 0]]
    np.testing.assert_array_equal(y, np.rint(by_hand(x, kernel, "constant")[:-1, 1:-1]).clip(0, 255))


@pytest.mark.parametrize("dtype", ["float16", ">f4", "longdouble", "bool", "int64", "uint64", "int8"])
def test_kernels_of_every_dtype(save, run, tmp_path, dtype):
    x = noise(9, 13) // 4
    np.save(tmp_path / "k.npy", np.array([[0, 1], [1, 1]], dtype))
    _, y = run(save(x), "--kernel", str(tmp_path / "k.npy"), "--mode", "valid")
    np.testing.assert_array_equal(y, x[:-1, 1:] + x[1:, :-1] + x[1:, 1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_no_range(save, run, tmp_path, capsys, bad):
    """Stretched, one NaN made NaN of everything."""
    x = noise(9, 13).astype(np.float32)
    x[3, 4] = bad
    photo, output = save(x, "in.tif"), tmp_path / "out.tif"
    assert main(["filter", photo, "--kernel", "box", "-o", str(output), "--range", "stretch"]) == 2
    assert "results are NaN or infinite" in capsys.readouterr().err and not output.exists()
    _, y = run(photo, "--kernel", "box", name="out.tif")
    assert np.isfinite(y).sum() == 9 * 13 - 9


def test_sums_that_leave_the_floats_are_no_pixels(save, tmp_path, capsys):
    np.savetxt(tmp_path / "k.txt", np.full((3, 3), 9e29))
    photo, output = save(np.full((9, 9), 1e9, np.float32), "in.tif"), tmp_path / "out.tif"
    kernel = str(tmp_path / "k.txt")
    assert main(["filter", photo, "--kernel", kernel, "-o", str(output), "--range", "stretch"]) == 2
    assert "too large" in capsys.readouterr().err and not output.exists()


def test_a_kernel_of_one_column_or_row(save, run, tmp_path, capsys):
    for text, size in (("1\n2\n1\n", "3 x 1"), ("1 2 1", "1 x 3"), ("1", "1 x 1")):
        (tmp_path / "k.txt").write_text(text)
        run(save(noise(9, 13)), "--kernel", str(tmp_path / "k.txt"))
        assert f"k.txt {size}, " in capsys.readouterr().out


def test_one_line_says_what_was_done(save, run, capsys):
    run(save(noise(9, 13, 3)), "--kernel", "sobel")
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    for word in ("in.png", "RGB 13 x 9", "sobel 3 x 3", "range abs", "out.png", " ms"):
        assert word in out


# checks -------------------------------------------------------------------------------


def test_check_runs_inside_checked(save, run, monkeypatch):
    entered = []

    @contextlib.contextmanager
    def checked():
        entered.append(True)
        yield

    monkeypatch.setattr(fastconv, "checked", checked)
    photo = save(noise(9, 13))
    run(photo, "--kernel", "box")
    assert not entered
    run(photo, "--kernel", "box", "--check")
    assert entered


@pytest.mark.parametrize("command", ["filter", "tour"])
def test_failed_check(save, tmp_path, monkeypatch, capsys, command):
    def wrong(*_, **__):
        raise fastconv.CheckError("off by 1")

    monkeypatch.setattr(fastconv, "corr2d", wrong)
    photo = save(noise(9, 13))
    options = [photo, "--kernel", "box", "--check"] if command == "filter" else []
    output = tmp_path / "out.png"
    assert main([command, *options, "-o", str(output)]) == 1
    assert capsys.readouterr().err == ("fastconv: error: the result differs from the reference: off by 1\n")
    assert not output.exists()


# mistakes -----------------------------------------------------------------------------

FILTER = ("filter", "{in}", "-o", "{out}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "invalid choice: 'nope'"),
        (["filter"], "required: photo, -k/--kernel"),
        ([*FILTER], "required: -k/--kernel"),
        (
            [*FILTER, "--kernel", "sobol"],
            "unknown kernel 'sobol'; accepted: identity, ",
        ),
        ([*FILTER, "--kernel", "sobol", "--size", "3"], "unknown kernel 'sobol'"),
        (
            [*FILTER, "--kernel", "box", "--size", "0"],
            "size must be a positive integer",
        ),
        ([*FILTER, "--kernel", "box", "--size", "x"], "invalid int value: 'x'"),
        ([*FILTER, "--kernel", "identity", "--size", "4"], "size must be odd"),
        ([*FILTER, "--kernel", "scharr", "--size", "5"], "accepted with: identity, box"),
        ([*FILTER, "--kernel", "sobel", "--size", "1"], "size must be at least 3"),
        ([*FILTER, "--kernel", "log", "--size", "1"], "size and sigma must leave"),
        ([*FILTER, "--kernel", "{tmp}/k.npy", "--size", "5"], "does not apply"),
        ([*FILTER, "--kernel", "box", "--mode", "half"], "invalid choice: 'half'"),
        ([*FILTER, "--kernel", "box", "--boundary", "odd"], "invalid choice: 'odd'"),
        (
            [*FILTER, "--kernel", "box", "--mode", "valid", "--boundary", "wrap"],
            "--boundary wrap has no meaning with --mode valid",
        ),
        (
            [*FILTER, "--kernel", "box", "--fillvalue", "3"],
            "--fillvalue 3 needs --boundary constant",
        ),
        (
            [*FILTER, "--kernel", "box", "--mode", "valid", "--fillvalue", "3"],
            "--fillvalue 3 needs --boundary constant",
        ),
        (
            [*FILTER, "--kernel", "box", "--boundary=constant", "--fillvalue=nan"],
            "--fillvalue nan is not finite",
        ),
        ([*FILTER, "--kernel", "box", "--range", "log"], "invalid choice: 'log'"),
        ([*FILTER, "--kernel", "box", "--size", "20", "--mode", "valid"], "(20, 20)"),
        ([*FILTER, "--kernel", "{tmp}/no.npy"], "no.npy: No such file"),
        (
            [*FILTER, "--kernel", "{tmp}/cube.npy"],
            "shape (2, 2, 2); accepted: a matrix",
        ),
        ([*FILTER, "--kernel", "{tmp}/empty.npy"], "shape (0, 3); accepted: a matrix"),
        ([*FILTER, "--kernel", "{tmp}/words.npy"], "words.npy holds a <U1 array"),
        ([*FILTER, "--kernel", "{tmp}/object.npy"], "object.npy is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/zip.npy"], "zip.npy holds a"),
        ([*FILTER, "--kernel", "{tmp}/nan.npy"], "nan.npy holds NaN or a number"),
        ([*FILTER, "--kernel", "{tmp}/huge.npy"], "huge.npy holds NaN or a number"),
        ([*FILTER, "--kernel", "{tmp}/nothing.npy"], "nothing.npy is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/nothing.txt"], "nothing.txt holds a"),
        ([*FILTER, "--kernel", "{tmp}/ragged.txt"], "ragged.txt is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/words.txt"], "words.txt is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/comment.txt"], "not empty"),
        ([*FILTER, "--kernel", "{tmp}/bytes.txt"], "bytes.txt is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/zero.txt"], "zero.txt is longer than 64 MB"),
        ([*FILTER, "--kernel", "{tmp}/zero.npy"], "zero.npy is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/claims.npy"], "claims.npy is not a matrix"),
        ([*FILTER, "--kernel", "{tmp}/large.npy"], "large.npy holds 33554432 numbers; a kernel has at most 16777216"),
        ([*FILTER, "--kernel", "sobl"], "unknown kernel 'sobl'; accepted: "),
        ([*FILTER, "--kernel", "sobl"], "; did you mean 'sobel'?"),
        ([*FILTER, "--kernel", "Gausian"], "; did you mean 'gaussian'?"),
        ([*FILTER, "--kernel", "box", "--size", "4097"], "--size 4097 is too large; at most 4096"),
        ([*FILTER, "--kernel", "gaussian", "--size", "99999"], "--size 99999 is too large; at most 4096"),
        ([*FILTER, "--kernel", "log", "--size", "2147483648"], "--size 2147483648 is too large"),
        ([*FILTER, "--kernel", "box", "--size", "9" * 5000], "--size"),
        (
            ["filter", "{tmp}/no.png", "--kernel", "box", "-o", "{out}"],
            "no.png: No such file",
        ),
        (
            ["filter", "{tmp}", "--kernel", "box", "-o", "{out}"],
            "cannot read {tmp}: ",
        ),
        (
            ["filter", "{tmp}/words.txt", "--kernel", "box", "-o", "{out}"],
            "cannot read {tmp}/words.txt: cannot identify image file\n",
        ),
        (
            ["filter", "{tmp}/cut.png", "--kernel", "box", "-o", "{out}"],
            "cannot read {tmp}/cut.png: ",
        ),
        (
            ["filter", "{in}", "--kernel", "box", "-o", "{tmp}/no/out.png"],
            "no folder {tmp}/no",
        ),
        (
            ["filter", "{in}", "--kernel", "box", "-o", "{tmp}/out.xyz"],
            "unknown extension '.xyz'; accepted: ",
        ),
        (
            ["filter", "{in}", "--kernel", "box", "-o", "{tmp}/out"],
            "unknown extension ''; accepted: ",
        ),
        (
            ["filter", "{in}", "--kernel", "box", "-o", "{tmp}/folder.png"],
            "cannot write {tmp}/folder.png: ",
        ),
        (
            ["filter", "{tmp}/alpha.png", "--kernel", "box", "-o", "{tmp}/out.jpg"],
            "cannot write {tmp}/out.jpg: cannot write mode RGBA as JPEG",
        ),
        (["tour", "-o", "{tmp}/no/tour.png"], "no folder {tmp}/no"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_mistakes(save, tmp_path, capsys, arguments, message):
    names = {"in": save(noise(9, 13)), "out": f"{tmp_path}/out.png", "tmp": tmp_path}
    save(noise(9, 13, 4), "alpha.png")
    whole = (tmp_path / "in.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.png").mkdir()
    np.save(tmp_path / "k.npy", np.ones((3, 3)))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    np.save(tmp_path / "empty.npy", np.ones((0, 3)))
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    np.save(tmp_path / "object.npy", np.array([[None]]))
    np.save(tmp_path / "nan.npy", np.array([[np.nan]]))
    np.save(tmp_path / "huge.npy", np.array([[1e300]]))
    with (tmp_path / "zip.npy").open("wb") as file:
        np.savez(file, k=np.ones((3, 3)))
    (tmp_path / "nothing.npy").touch()
    (tmp_path / "nothing.txt").touch()
    (tmp_path / "zero.txt").symlink_to("/dev/zero")  # has no end
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    (tmp_path / "comment.txt").write_text("# 1 2\n")
    (tmp_path / "bytes.txt").write_bytes(bytes(range(256)))
    with (tmp_path / "claims.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**10)})
        file.write(bytes(800))
    with (tmp_path / "large.npy").open("wb") as file:  # with a hole, so it takes no room
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**12, 2**13)})
        file.truncate(file.tell() + 2**28)
    (tmp_path / "ragged.txt").write_text("1 2\n3\n")
    (tmp_path / "words.txt").write_text("one two\n")
    before = sorted(tmp_path.rglob("*"))

    assert main([argument.format_map(names) for argument in arguments]) == 2

    error = capsys.readouterr().err
    assert error.startswith("fastconv: error: ")
    assert error.count("\n") == 1
    assert message.replace("{tmp}", str(tmp_path)) in error
    assert sorted(tmp_path.rglob("*")) == before


def test_failed_write_keeps_the_old_file(save, pillow, tmp_path, monkeypatch, capsys):
    def full_disk(_, file, *__, **___):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    photo = save(noise(9, 13))
    output = tmp_path / "out.png"
    output.write_bytes(b"old")
    monkeypatch.setattr(pillow.Image, "save", full_disk)
    assert main(["filter", photo, "--kernel", "box", "-o", str(output)]) == 2
    assert capsys.readouterr().err == (f"fastconv: error: cannot write {output}: No space left on device\n")
    assert output.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "out.png"]


@pytest.mark.parametrize("command", ["filter x.png --kernel box", "tour", "find x.png y.png"])
def test_without_pillow(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert main([*command.split(), "-o", str(tmp_path / "out.png")]) == 2
    assert capsys.readouterr().err == ('fastconv: error: pictures need Pillow: pip install "fastconv[image]"\n')


# the other commands -------------------------------------------------------------------

# find ---------------------------------------------------------------------------------

FIGURE = noise(11, 14, 3, seed=3)


def crowd(*places):
    """A scene (70, 90, 3) with the figure at these rows and columns, each a little paler than the one before."""
    scene = noise(70, 90, 3, seed=4) // 2
    for i, (row, column) in enumerate(places):
        pale = FIGURE // (i + 1) + noise(11, 14, 3, seed=5) // 32 * i
        scene[row : row + 11, column : column + 14] = pale
    return scene


@pytest.mark.parametrize("place", [(0, 0), (0, 76), (59, 0), (59, 76), (31, 40)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_find_wherever_it_stands(save, pillow, tmp_path, capsys, place, mode):
    scene, figure = (pillow.fromarray(a).convert(mode) for a in (crowd(place), FIGURE))
    output = tmp_path / "found.png"
    paths = save(scene, "scene.png"), save(figure, "figure.png")
    assert main(["find", *paths, "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"14 x 11 at column {place[1]}, row {place[0]} of {paths[0]}, score 1.0000\n" in out
    assert f"{'colours' if mode == 'RGB' else 'luminance'}, " in out
    with pillow.open(output) as image:
        found = np.asarray(image)
    red = (found == (255, 0, 0)).all(-1)
    rows, columns = np.nonzero(red)
    top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
    assert (max(place[0] - 1, 0), max(place[1] - 1, 0)) == (top, left)
    assert (min(place[0] + 11, 69), min(place[1] + 14, 89)) == (bottom, right)
    before = np.asarray(pillow.fromarray(crowd(place)).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(found[~red], before[~red])


def test_find_several(save, capsys):
    places = [(3, 5), (40, 60), (45, 20)]
    assert main(["find", save(crowd(*places)), save(FIGURE, "figure.png"), "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [f"column {c}, row {r} " in line for (r, c), line in zip(places, lines[:3], strict=True)] == [True] * 3
    assert main(["find", save(FIGURE), save(FIGURE, "figure.png"), "--count", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2  # there is but one place


def test_what_is_not_there_is_not_found(save, tmp_path, capsys):
    """The best of bad places was reported as found."""
    scene, figure, output = save(crowd(), "scene.png"), save(FIGURE, "figure.png"), tmp_path / "found.png"
    assert main(["find", scene, figure, "-o", str(output)]) == 3
    out, err = capsys.readouterr()
    assert out == "" and not output.exists()
    best = float(err.partition("the best score is ")[2].partition(", ")[0])
    assert err == (
        f"fastconv: error: {figure} is not in {scene}: the best score is {best:.4f}, and --min-score is 0.5\n"
    )
    assert 0 < best < 0.5
    for score, code in ((best - 1e-3, 0), (best + 1e-3, 3), (-1, 0), (1, 3)):
        assert main(["find", scene, figure, "-o", str(output), "--min-score", str(score)]) == code
        assert output.exists() == (code == 0)
        output.unlink(missing_ok=True)


def test_only_places_that_look_like_it_count(save, capsys):
    scene, figure = save(crowd((3, 5), (40, 60)), "scene.png"), save(FIGURE, "figure.png")
    assert main(["find", scene, figure, "--count", "5"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 1
    assert main(["find", scene, figure, "--count", "5", "--min-score", "-1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5 + 1


def test_find_what_is_not_transparent(save, capsys):
    alpha = np.full((11, 14, 1), 255, np.uint8)
    alpha[:4, :6] = 0
    figure = np.concatenate([np.where(alpha > 0, FIGURE, 255 - FIGURE), alpha], axis=-1)
    assert main(["find", save(crowd((20, 30))), save(figure, "figure.png")]) == 0
    assert "at column 30, row 20 " in (out := capsys.readouterr().out)
    assert "score 1.0000" in out


@pytest.mark.parametrize(
    ("scene", "figure", "options", "message"),
    [
        (FIGURE, crowd(), (), "is larger than"),
        (crowd(), FIGURE * 0 + 9, (), "has the same value everywhere: nothing to find"),
        (crowd(), np.zeros((3, 4, 4), np.uint8), (), "is transparent everywhere: nothing to find"),
        (crowd(), FIGURE, ("--count", "0"), "--count must be at least 1; got 0"),
        (crowd(), FIGURE, ("-o", "found.xyz"), "found.xyz"),
        (crowd(), FIGURE, ("--min-score", "1.1"), "--min-score must be from -1 to 1; got 1.1"),
        (crowd(), FIGURE, ("--min-score", "nan"), "--min-score must be from -1 to 1; got nan"),
        (np.full((20, 20), np.nan, np.float32), FIGURE, (), "holds NaN or infinity wherever"),
    ],
)
def test_nothing_to_find(save, capsys, scene, figure, options, message):
    assert main(["find", save(scene, "scene.tiff"), save(figure, "figure.png"), *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1


def test_info(capsys):
    fastconv.show_config()
    expected = capsys.readouterr().out
    assert main(["info"]) == 0
    assert capsys.readouterr().out == expected != ""


def test_no_command_prints_help(capsys):
    assert main([]) == 2
    out = capsys.readouterr().out
    for command in ("filter", "tour", "info"):
        assert command in out


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help(capsys, option):
    with pytest.raises(SystemExit) as stop:
        main([option])
    assert stop.value.code == 0
    expected = f"fastconv {fastconv.__version__}\n" if option == "--version" else "tour"
    assert expected in capsys.readouterr().out


def test_as_a_module(save, tmp_path):
    arguments = "filter", save(noise(9, 13)), "--kernel", "box", "-o"
    command = [sys.executable, "-m", "fastconv", *arguments]
    done = subprocess.run(
        [*command, str(tmp_path / "out.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.png").exists()
    done = subprocess.run(
        [*command, str(tmp_path / "out.xyz")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fastconv: error: cannot write")

"""Pictures of every mode and kind become what the preparation promises."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from fewstep import InputError
from fewstep.data.preparation import Preparation
from tests.data.pictures import drawing, encoded, noise

COLOUR, GREY = Preparation(16, 3), Preparation(16, 1)
MODES = (
    *("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX"),
    *("RGBa", "La", "I;16", "I;16L", "I;16B", "I;16N"),
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_mode_of_pillow_is_prepared(mode, fit, channels):
    pixels = Preparation(16, channels, fit=fit)(Image.new(mode, (40, 31)))
    assert pixels.shape == (channels, 16, 16)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (16, 16), (17, 16)])
def test_pictures_of_any_shape(size):
    assert COLOUR(Image.new("RGB", size, "red"))[:, 8, 8].tolist() == [255, 0, 0]


def test_the_middle_is_cut_out_or_all_is_pressed():
    wide = Image.new("RGB", (48, 16), "red")
    wide.paste("blue", (16, 0, 32, 16))
    assert COLOUR(wide).mean((1, 2)).tolist() == [0, 0, 255]
    pressed = Preparation(16, 3, fit="stretch")(wide)
    assert pressed[:, 8, 1].tolist() == [255, 0, 0]
    assert pressed[:, 8, 8].tolist() == pytest.approx([0, 0, 255], abs=9)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photograph_is_turned(kind):
    held = Image.new("RGB", (32, 32), "white")
    held.paste("black", (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is on the right side
    pixels = GREY(encoded(held, kind, exif=exif))[0]
    assert pixels[:, 12:].mean() < 10
    assert pixels[:, :4].mean() > 245


def test_what_is_transparent_becomes_white():
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 8, 16))
    palette = clear.quantize(8)
    for picture in (
        *(encoded(clear), encoded(clear, "WEBP", lossless=True), encoded(palette)),
        encoded(Image.new("RGB", (16, 16), "red"), transparency=(255, 0, 0)),
        encoded(Image.new("L", (16, 16), 7), transparency=7),
        encoded(Image.new("1", (16, 16), 0), transparency=0),
        encoded(Image.new("I;16", (16, 16), 700), transparency=700),
        encoded(Image.new("LA", (16, 16), (7, 0))),
    ):
        assert COLOUR(picture)[:, 8, 12].tolist() == [255, 255, 255]
    assert COLOUR(encoded(palette))[:, 8, 2].tolist() == pytest.approx([0, 0, 255], abs=9)


def test_half_transparent_is_between():
    half = Image.new("RGBA", (16, 16), (255, 0, 0, 128))
    assert COLOUR(half)[:, 8, 8].tolist() == pytest.approx([255, 127, 127], abs=1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full((9, 9), 32768, np.uint16), 128),
        (np.full((9, 9), 200, np.uint16), 1),  # dark, and not of 8 bits
        (np.full((9, 9), 200, np.int32), 200),
        (np.full((9, 9), 32768, np.int32), 128),
        (np.array([[0, 2**30]] * 2, np.int32), (0, 255)),
        (np.full((9, 9), -5, np.int32), 0),
        (np.full((9, 9), 0.5, np.float32), 128),
        (np.full((9, 9), 100.0, np.float32), 100),
        (np.full((9, 9), np.nan, np.float32), 0),
        (np.array([[0, np.inf]] * 2, np.float32), (0, 255)),
    ],
)
def test_more_than_eight_bits(values, expected):
    picture = Image.fromarray(values)
    for given in (picture, encoded(picture, "TIFF")):
        pixels = GREY(given)
        assert (pixels.min(), pixels.max()) == (
            expected if isinstance(expected, tuple) else (expected, expected)
        )


def test_cmyk_has_its_colours():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for given in (red, encoded(red, "JPEG", quality=95), encoded(red, "TIFF")):
        assert COLOUR(given)[:, 8, 8].tolist() == pytest.approx([255, 0, 0], abs=12)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    how = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **how)
    assert COLOUR(content)[:, 8, 8].tolist() == [255, 0, 0]


def test_ink_is_bright_whatever_the_paper():
    how = Preparation(16, 1, ink=True)
    dark = Image.new("L", (16, 16), 255)
    dark.paste(0, (4, 4, 8, 8))
    light = Image.fromarray(255 - np.asarray(dark))
    assert (how(dark) == how(light)).all()
    assert how(dark)[0, 6, 6] == 255
    assert how(dark)[0, 0, 0] == 0


def test_grey_is_the_same_in_colour():
    for grey in (noise(0, "L"), noise(0, "L").convert("1"), Image.new("F", (9, 5), 0.3)):
        assert (COLOUR(grey) == GREY(grey)).all()
        if grey.mode != "F":
            assert (GREY(grey.convert("RGB")) == GREY(grey)).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
def test_a_picture_that_is_given_stays_as_it_is(mode):
    picture = noise(1, size=(60, 40)).convert("L" if mode == "I;16" else mode).convert(mode)
    picture.info["transparency"] = 3 if mode == "P" else picture.info.get("transparency", b"")
    if mode != "P":
        del picture.info["transparency"]
    before = (picture.mode, picture.size, picture.tobytes(), dict(picture.info))
    COLOUR(picture)
    assert (picture.mode, picture.size, picture.tobytes(), dict(picture.info)) == before


def test_an_open_file_keeps_its_size():
    with Image.open(io.BytesIO(encoded(noise(2, size=(640, 480)), "JPEG"))) as opened:
        COLOUR(opened)
        assert opened.size == (640, 480)


def test_all_ways_to_give_a_picture(tmp_path):
    picture = noise(3)
    content = encoded(picture)
    (tmp_path / "a.png").write_bytes(content)
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), content, picture):
        assert (COLOUR(given) == COLOUR(picture)).all()


def bomb():
    """A picture of 400 million pixels by its header."""
    whole = encoded(Image.new("L", (4, 4)), "BMP")
    return whole[:18] + (20_000).to_bytes(4, "little") * 2 + whole[26:]


JPEG, PNG = encoded(noise(4, size=(90, 80)), "JPEG"), encoded(noise(4, size=(90, 80)))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no picture of a known format"),
        (b"text", "no picture of a known format"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:60] + b"\0" * 20 + PNG[80:], ""),
        (bomb(), "more than 89,478,485 pixels"),
    ],
)
def test_what_cannot_be_read(content, told, tmp_path):
    with pytest.raises(InputError, match=r"the picture is no picture that can be read \(") as one:
        COLOUR(content)
    assert told in str(one.value)
    assert "\n" not in str(one.value)
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.png is no picture that can be read"):
        COLOUR(tmp_path / "x.png")


def test_a_picture_that_pillow_only_warns_of(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(InputError, match="more than 300 pixels"):
        COLOUR(encoded(Image.new("L", (20, 20))))


def test_warnings_of_pillow_are_not_shown(monkeypatch):
    def warn(*_):
        warnings.warn("odd EXIF data", UserWarning, stacklevel=1)

    monkeypatch.setattr(Image.Image, "draft", warn)
    assert COLOUR(PNG).shape == (3, 16, 16)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no\.png is no picture .*No such file"):
        COLOUR(tmp_path / "no.png")


INK = Preparation(16, 1, ink=True)


@pytest.mark.parametrize(("paper", "ink"), [(190, 60), (120, 20), (90, 220), (60, 255), (205, 30)])
def test_grey_paper_becomes_nothing(paper, ink):
    clean = INK(drawing(3)).astype(float)
    found = INK(drawing(3, paper, ink)).astype(float)
    assert np.abs(found - clean).mean() < 6
    assert found[clean == 0].mean() < 3


@pytest.mark.parametrize("paper", [0, 100, 150, 255])
def test_an_empty_sheet_stays_empty(paper):
    sheet = np.full((30, 30), paper) + np.random.default_rng(0).integers(-3, 4, (30, 30))
    assert INK(Image.fromarray(sheet.clip(0, 255).astype(np.uint8))).max() < 20


def test_white_and_black_paper_stay_as_they_are():
    """A faint stroke on them is no reason to make it stronger."""
    light = INK(drawing(3, 255, 155))
    assert 90 < light.max() < 130
    assert np.array_equal(light, INK(drawing(3, 0, 100)))


def test_a_png_that_tells_late_how_it_was_held():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = noise(3, size=(16, 16))
    early = encoded(picture, exif=exif)
    start = early.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(early[start : start + 4])
    chunk, rest = early[start:end], early[:start] + early[end:]
    late = rest[:-12] + chunk + rest[-12:]
    assert (COLOUR(late) == COLOUR(early)).all()
    assert (COLOUR(late) != COLOUR(encoded(picture))).any()

"""Opening images: every kind comes out upright in RGB, every damaged file is named."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from captioning.data import ImageError, open_image

Colour = tuple[int, int, int]
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION = 0x0112


def pixels(path: Path) -> list[list[Colour]]:
    image = open_image(path)
    assert image.mode == "RGB"
    return [[tuple(pixel) for pixel in row] for row in np.asarray(image).tolist()]


def saved(folder: Path, image: Image.Image, suffix: str = ".png", **options: object) -> Path:
    path = folder / f"image{suffix}"
    image.save(path, **options)
    return path


def row_of(mode: str, *colours: object) -> Image.Image:
    image = Image.new(mode, (len(colours), 1))
    for x, colour in enumerate(colours):
        image.putpixel((x, 0), colour)
    return image


def test_rgb_is_left_alone(tmp_path: Path) -> None:
    assert pixels(saved(tmp_path, row_of("RGB", RED, BLUE))) == [[RED, BLUE]]


def test_grey_has_three_equal_channels(tmp_path: Path) -> None:
    assert pixels(saved(tmp_path, row_of("L", 0, 100))) == [[(0, 0, 0), (100, 100, 100)]]


def test_black_and_white_spans_the_range(tmp_path: Path) -> None:
    assert pixels(saved(tmp_path, row_of("1", 0, 1))) == [[(0, 0, 0), WHITE]]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = row_of("RGBA", (255, 0, 0, 255), (255, 0, 0, 0), (255, 0, 0, 51))
    assert pixels(saved(tmp_path, image)) == [[RED, WHITE, (255, 204, 204)]]


def test_transparent_grey_is_laid_on_white(tmp_path: Path) -> None:
    assert pixels(saved(tmp_path, row_of("LA", (9, 255), (9, 0)))) == [[(9, 9, 9), WHITE]]


def test_a_palette_is_looked_up_and_its_transparent_colour_is_white(tmp_path: Path) -> None:
    image = row_of("P", 0, 1)
    image.putpalette([*RED, *BLUE])
    assert pixels(saved(tmp_path, image)) == [[RED, BLUE]]
    assert pixels(saved(tmp_path, image, transparency=0)) == [[WHITE, BLUE]]


def test_cmyk_becomes_the_printed_colour(tmp_path: Path) -> None:
    image = row_of("CMYK", (0, 255, 255, 0), (255, 255, 0, 0), (0, 0, 0, 0))
    assert pixels(saved(tmp_path, image, ".tiff")) == [[RED, BLUE, WHITE]]


def test_a_cmyk_jpeg_as_cameras_and_printers_write_it_is_not_inverted(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), ".jpg", quality=100)
    assert np.abs(np.asarray(open_image(path), dtype=int) - RED).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".pgm", ".tiff"])
def test_grey_of_16_bits_is_scaled_not_cut(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(np.array([[0, 256, 32_896, 65_535]], dtype=np.uint16))
    channel = [colour[0] for colour in pixels(saved(tmp_path, image, suffix))[0]]
    assert channel == [0, 1, 128, 255]


def test_colour_of_16_bits_keeps_the_upper_eight(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    line = b"\0" + struct.pack(">HHH", 0xFF00, 0x8000, 0x00FF)
    path = tmp_path / "deep.png"
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(line)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert pixels(path) == [[(0xFF, 0x80, 0x00)]]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, [[RED, BLUE]]),
        (2, [[BLUE, RED]]),
        (3, [[BLUE, RED]]),
        (6, [[RED], [BLUE]]),
        (8, [[BLUE], [RED]]),
    ],
)
def test_a_turned_image_is_set_upright(
    tmp_path: Path, orientation: int, upright: list[list[Colour]]
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert pixels(saved(tmp_path, row_of("RGB", RED, BLUE), exif=exif)) == upright


def test_of_an_animation_the_first_image_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (1, 1), colour) for colour in (RED, BLUE)]
    path = saved(tmp_path, frames[0], ".gif", save_all=True, append_images=frames[1:])
    assert pixels(path) == [[RED]]


def fault(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected a")
    assert len(message.splitlines()) == 1
    return message


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    assert "found no file" in fault(tmp_path / "missing.jpg")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    assert "no known format" in fault(path)


def test_a_folder_in_place_of_an_image_is_named(tmp_path: Path) -> None:
    assert "directory" in fault(tmp_path)


def test_a_floating_point_image_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("F", (2, 2), 0.5), ".tiff")
    assert "no agreed white" in fault(path)


def encoded(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, size=(24, 20, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_truncated_image_is_named(tmp_path: Path, kind: str) -> None:
    whole = encoded(kind)
    path = tmp_path / "half"
    path.write_bytes(whole[: len(whole) // 2])
    assert "decoding failed" in fault(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP"]),
    damage=st.dictionaries(st.integers(0, 200), st.integers(0, 255), max_size=4),
)
def test_no_damage_lets_another_error_out_of_the_decoder(
    tmp_path: Path, kind: str, damage: dict[int, int]
) -> None:
    content = bytearray(encoded(kind))
    for place, byte in damage.items():
        content[place] = byte
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with suppress(ImageError):
        assert open_image(path).mode == "RGB"

"""Thumbnails and blurhashes: small, of the picture's shape, marked; and the same waves as everybody else's."""

import io

import blurhash
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from image_service.marks import DIGITAL_SOURCE_TYPE
from image_service.png import checked
from image_service.previews import THUMBNAIL_PIXELS, preview_of


def encoded(picture: Pillow.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 1024), (256, 256)),
        ((1536, 640), (256, 107)),
        ((640, 1536), (107, 256)),
        ((64, 32), (64, 32)),
        ((1, 1), (1, 1)),
        ((2000, 1), (256, 1)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_a_thumbnail_is_a_small_marked_webp(size: tuple[int, int], expected: tuple[int, int], mode: str) -> None:
    picture = Pillow.new("I;16", size, 30_000) if mode == "I;16" else Pillow.new("RGB", size, "teal").convert(mode)
    preview = checked(encoded(picture)).preview
    with Pillow.open(io.BytesIO(preview.thumbnail)) as thumbnail:
        thumbnail.load()
        assert (thumbnail.format, thumbnail.size) == ("WEBP", expected)
        assert DIGITAL_SOURCE_TYPE in thumbnail.info["xmp"].decode()
    assert max(expected) <= THUMBNAIL_PIXELS
    assert blurhash.components(preview.blurhash) == ((4, 3) if size[0] >= size[1] else (3, 4))


def test_the_blurhash_shows_the_picture() -> None:
    picture = Pillow.new("RGB", (512, 256), "red")
    picture.paste("blue", (256, 0, 512, 256))
    rows = blurhash.decode(checked(encoded(picture)).preview.blurhash, 32, 16)
    left, right = rows[8][2], rows[8][29]
    assert left[0] > left[2] + 100
    assert right[2] > right[0] + 100


def test_the_blurhash_of_one_colour_is_that_colour() -> None:
    # The fixed point of the published algorithm: no waves, and the colour in the clear at places 2 to 5.
    written = preview_of(Pillow.new("RGB", (300, 200), (170, 85, 255))).blurhash
    assert len(written) == 4 + 2 * 4 * 3
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
    colour = 0
    for digit in written[2:6]:
        colour = colour * 83 + digits.index(digit)
    assert colour == 170 << 16 | 85 << 8 | 255


def test_what_the_vendor_wrote_is_not_in_the_thumbnail() -> None:
    words = PngInfo()
    words.add_text("parameters", "a secret prompt")
    exif = Pillow.Exif()
    exif[0x010E] = "a secret prompt"
    written = io.BytesIO()
    Pillow.new("RGB", (300, 300)).save(written, "PNG", pnginfo=words, exif=exif)
    assert b"secret" in written.getvalue()
    assert b"secret" not in checked(written.getvalue()).preview.thumbnail

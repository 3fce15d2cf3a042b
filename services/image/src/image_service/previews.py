"""What a list shows before, and instead of, the picture itself: a thumbnail and a blurhash."""

import io
from dataclasses import dataclass

import blurhash
from PIL import Image as Pillow

from image_service.marks import XMP

THUMBNAIL_PIXELS = 256
"""The longest side of a thumbnail; a square one has some 10 kB."""

_QUALITY = 80
_SAMPLES = 32
"""A blurhash holds a dozen waves: of the picture it needs no more than 32 by 32 pixels."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A WebP, marked like the picture it was made of, and the blurhash of the same."""

    thumbnail: bytes
    blurhash: str


def preview_of(picture: Pillow.Image) -> Preview:
    """Make the preview of a decoded picture, which is shrunk in place; blocking, some 20 ms."""
    if picture.mode not in ("RGB", "RGBA"):
        # Palettes cannot be blended; what is neither colour nor grey is rare enough to be copied whole.
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), reducing_gap=2.0)
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=_QUALITY, xmp=XMP, exif=b"")
    return Preview(written.getvalue(), _blurhash(picture))


def _blurhash(picture: Pillow.Image) -> str:
    small = picture.convert("RGB").resize((_SAMPLES, _SAMPLES))
    content = small.tobytes()
    pixels = [content[start : start + 3] for start in range(0, len(content), 3)]
    rows = [pixels[start : start + _SAMPLES] for start in range(0, len(pixels), _SAMPLES)]
    waves = (4, 3) if picture.width >= picture.height else (3, 4)
    written: str = blurhash.encode(rows, *waves)
    return written

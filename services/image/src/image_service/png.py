"""PNG files as far as we need them: are they one, and the mark that says they were made by a machine."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image as Pillow

from image_service.marks import XMP
from image_service.previews import Preview, preview_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Keyword, then: not compressed, no language, no translated keyword (PNG specification, 11.3.3.4; XMP part 3).
_XMP_CHUNK = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP

MAX_PIXELS = 4 * 1024 * 1024
"""More than any engine draws; unpacked it takes 16 MB."""

_VENDORS_WORDS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"caBX"))
"""Chunks that hold what the vendor wrote beside the picture: perhaps prompts, XMP that would contradict ours, and a
C2PA manifest, whose signature of the whole file ours would break."""


@dataclass(frozen=True, slots=True)
class SoundPng:
    """A PNG that was decoded to its end, and what could be made of it on the way."""

    png: bytes
    width: int
    height: int
    preview: Preview


def checked(data: bytes, *, size: tuple[int, int] | None = None) -> SoundPng:
    """Return ``data`` if it is a PNG that can be decoded to its end, with its preview; blocking, some 40 ms.

    Args:
        data: Perhaps a PNG.
        size: Width and height that it must have; without it the picture may be of any size an engine draws.

    Raises:
        ValueError: It is not. The size is read before anything is unpacked, so that a bomb stays shut.
    """
    chunks = _chunks(data)
    kind, content = next(chunks)
    if kind != b"IHDR" or len(content) != 13:
        raise ValueError("a PNG without its header")
    width, height = struct.unpack(">II", content[:8])
    if size not in (None, (width, height)) or not 1 <= width * height <= MAX_PIXELS:
        raise ValueError("a PNG of another size")
    for _ in chunks:
        pass  # to the end, which Pillow would not miss
    try:
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.load()
            return SoundPng(data, width, height, preview_of(picture))
    # Pillow tells of broken files by many classes, OSError, SyntaxError and struct.error among them.
    except Exception as error:
        raise ValueError("the PNG cannot be decoded") from error


def marked(png: bytes) -> bytes:
    """Return ``png`` with the machine-readable mark of AI generation; its pixels' bytes are not touched.

    Raises:
        ValueError: It is not a whole PNG.
    """
    pieces = [SIGNATURE]
    is_marked = False
    for kind, content in _chunks(png):
        if kind in _VENDORS_WORDS:
            continue
        if kind == b"IDAT" and not is_marked:
            pieces.append(_chunk(b"iTXt", _XMP_CHUNK))
            is_marked = True
        pieces.append(_chunk(kind, content))
    if not is_marked:
        raise ValueError("the PNG holds no picture")
    return b"".join(pieces)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    offset = len(SIGNATURE)
    while offset + 12 <= len(png):
        length = int.from_bytes(png[offset : offset + 4])
        kind = png[offset + 4 : offset + 8]
        end = offset + 12 + length
        if end > len(png):
            break
        yield kind, png[offset + 8 : end - 4]
        if kind == b"IEND":
            return
        offset = end
    raise ValueError("the PNG is cut off")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

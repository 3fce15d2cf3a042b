"""PNG files as far as we need them: are they one, and the mark that says they were made by a machine."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image as Pillow

SIGNATURE = b"\x89PNG\r\n\x1a\n"

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for a picture made by a trained model."""

_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    f' Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)

# Keyword, then: not compressed, no language, no translated keyword (PNG specification, 11.3.3.4; XMP part 3).
_XMP_CHUNK = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + _XMP.encode()

_VENDORS_WORDS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"))
"""Chunks that hold what the vendor wrote beside the picture: perhaps prompts, and XMP that would contradict ours."""


def checked(data: bytes, *, width: int, height: int) -> bytes:
    """Return ``data`` if it is a PNG of exactly this size that can be decoded to its end.

    Raises:
        ValueError: It is not. The size is read before anything is unpacked, so that a bomb stays shut.
    """
    chunks = _chunks(data)
    kind, content = next(chunks)
    if kind != b"IHDR" or len(content) != 13 or struct.unpack(">II", content[:8]) != (width, height):
        raise ValueError("not a PNG of the size ordered")
    for _ in chunks:
        pass  # to the end, which Pillow would not miss
    try:
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.load()
    # Pillow tells of broken files by many classes, OSError, SyntaxError and struct.error among them.
    except Exception as error:
        raise ValueError("the PNG cannot be decoded") from error
    return data


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

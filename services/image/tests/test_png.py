"""PNG files: trusted only when decoded, marked without touching a pixel."""

import io
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from image_service.marks import DIGITAL_SOURCE_TYPE
from image_service.png import SIGNATURE, checked, marked
from image_service.testing import draw_png


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def pixels(png: bytes) -> bytes:
    with Pillow.open(io.BytesIO(png)) as picture:
        return picture.tobytes()


def idats(png: bytes) -> bytes:
    found, offset = b"", len(SIGNATURE)
    while offset < len(png):
        length = int.from_bytes(png[offset : offset + 4])
        if png[offset + 4 : offset + 8] == b"IDAT":
            found += png[offset + 8 : offset + 8 + length]
        offset += 12 + length
    return found


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_the_mark_is_there_and_the_pixels_are_the_same(mode: str) -> None:
    written = io.BytesIO()
    gradient = Pillow.linear_gradient("L").convert(mode)
    gradient.save(written, "PNG")
    before = written.getvalue()
    after = marked(before)
    assert pixels(after) == pixels(before)
    assert idats(after) == idats(before)
    with Pillow.open(io.BytesIO(after)) as picture:
        picture.load()
        packet = picture.info["XML:com.adobe.xmp"]
    root = ElementTree.fromstring(packet.encode())  # noqa: S314 - we wrote it
    marks = [element.attrib for element in root.iter() if element.attrib]
    name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    assert DIGITAL_SOURCE_TYPE in [mark.get(name) for mark in marks]
    assert after.count(DIGITAL_SOURCE_TYPE.encode()) == 1
    assert after.index(b"XML:com.adobe.xmp") < after.index(b"IDAT")


def test_what_the_vendor_wrote_beside_the_picture_is_left_out() -> None:
    written, words = io.BytesIO(), PngInfo()
    words.add_text("parameters", "the secret prompt")
    words.add_itxt("XML:com.adobe.xmp", "<contradiction/>")
    words.add(b"caBX", b"a manifest that signs the file as it was")
    Pillow.new("RGB", (8, 8)).save(written, "PNG", pnginfo=words)
    after = marked(written.getvalue() + b"trailing words")
    for left_out in (b"secret", b"contradiction", b"manifest", b"trailing"):
        assert left_out not in after


def test_a_marked_picture_passes_the_check() -> None:
    png = marked(draw_png(64, 32))
    sound = checked(png)
    assert (sound.png, sound.width, sound.height) == (png, 64, 32)
    assert checked(png, size=(64, 32)) == sound


def test_a_bomb_stays_shut() -> None:
    bomb = SIGNATURE + header(60_000, 60_000) + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="size"):
        checked(bomb)
    with pytest.raises(ValueError, match="size"):
        checked(bomb)


def test_more_pixels_than_its_header_says_are_not_unpacked() -> None:
    rows = zlib.compress(bytes(50_000_000), 9)
    png = SIGNATURE + header(8, 8) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert checked(png, size=(8, 8)).png == png


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        SIGNATURE,
        SIGNATURE + header(8, 8),
        SIGNATURE + header(8, 8) + chunk(b"IEND", b""),
        SIGNATURE + header(8, 8) + chunk(b"IDAT", b"not zlib") + chunk(b"IEND", b""),
        SIGNATURE + header(8, 8) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IHDR", b"short") + chunk(b"IEND", b""),
        SIGNATURE + struct.pack(">I", 2**31) + b"IHDR",
        draw_png(8, 8)[:-20],
        draw_png(8, 8)[: len(draw_png(8, 8)) // 2],
        draw_png(8, 9),
        draw_png(8, 8).replace(b"IDAT", b"IDAX"),
    ],
)
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        checked(data, size=(8, 8))


@pytest.mark.parametrize(
    "data", [b"", SIGNATURE, SIGNATURE + header(8, 8), SIGNATURE + header(8, 8) + chunk(b"IEND", b"")]
)
def test_what_cannot_be_marked(data: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        marked(data)


def test_another_format_in_a_pngs_place(tmp_path: Path) -> None:
    written = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(written, "JPEG")
    with pytest.raises(ValueError, match="PNG"):
        checked(written.getvalue(), size=(8, 8))

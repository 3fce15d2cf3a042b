"""Orders for pictures, and a look into the PNGs that come back."""

import base64
import io

from PIL import Image

from journey.answers import Json, data
from journey.phone import Phone

GENERATE = "/api/image/generate"
HISTORY = "/api/image/history"
PRICE = 10
_DATA_URL = "data:image/png;base64,"


def png_of(image_data: str) -> Image.Image:
    """Open a ``data:`` URL that must hold a whole PNG."""
    assert image_data.startswith(_DATA_URL)
    return opened(base64.b64decode(image_data.removeprefix(_DATA_URL), validate=True))


def opened(content: bytes) -> Image.Image:
    """Open and decode a whole PNG."""
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    image.load()
    return image


def is_marked_as_generated(image: Image.Image) -> bool:
    """Whether its XMP says that a model made it (IPTC ``DigitalSourceType``)."""
    xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or ""
    text = xmp.decode() if isinstance(xmp, bytes) else str(xmp)
    return "DigitalSourceType" in text and "trainedAlgorithmicMedia" in text


async def draw(phone: Phone, prompt: str = "a lighthouse at dusk", **settings: object) -> Json:
    """Order pictures by address only, and return what was answered."""
    body = {"prompt": prompt, "responseFormat": "url", **settings}
    return data(await phone.post(GENERATE, body))


async def has_nothing_spent(phone: Phone) -> None:
    """Assert that all coins are there, none held, and the ledger names only the bonus."""
    assert await phone.wallet() == (100, 0)
    assert [entry["type"] for entry in await phone.transactions()] == ["bonus"]

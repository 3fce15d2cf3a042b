"""The pictures that were uploaded, as long as there is room for them."""

import hashlib
import io
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from PIL import Image

MAX_ASSETS = 20_000
MAX_BYTES = 256 * 1024 * 1024

FORMATS = {"PNG": "png", "WEBP": "webp", "JPEG": "jpg", "GIF": "gif"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One picture, byte by byte as it came."""

    cloud: str
    public_id: str
    data: bytes
    format: str
    width: int
    height: int
    created_at: datetime

    @classmethod
    def read(cls, cloud: str, public_id: str, data: bytes, created_at: datetime) -> "Asset | None":
        """``None`` if the bytes are no picture."""
        try:
            with Image.open(io.BytesIO(data)) as picture:
                kind, (width, height) = picture.format, picture.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        known = FORMATS.get(kind or "")
        return cls(cloud, public_id, data, known, width, height, created_at) if known else None

    @property
    def version(self) -> int:
        return int(self.created_at.timestamp())

    @property
    def etag(self) -> str:
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    @property
    def asset_id(self) -> str:
        name = f"{self.cloud}/{self.public_id}"
        return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


class AssetBook:
    """By cloud and public id; the ones unused for longest are forgotten when it gets too full."""

    def __init__(self) -> None:
        self._assets: OrderedDict[tuple[str, str], Asset] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._assets)

    def find(self, cloud: str, public_id: str) -> Asset | None:
        asset = self._assets.get((cloud, public_id))
        if asset is not None:
            self._assets.move_to_end((cloud, public_id))
        return asset

    def put(self, asset: Asset) -> None:
        self.remove(asset.cloud, asset.public_id)
        self._assets[asset.cloud, asset.public_id] = asset
        self._bytes += len(asset.data)
        while len(self._assets) > MAX_ASSETS or self._bytes > MAX_BYTES:
            self._bytes -= len(self._assets.popitem(last=False)[1].data)

    def remove(self, cloud: str, public_id: str) -> bool:
        """``False`` if there was none."""
        asset = self._assets.pop((cloud, public_id), None)
        self._bytes -= len(asset.data) if asset else 0
        return asset is not None

    def list(self, cloud: str, prefix: str) -> list[Asset]:
        """Newest first; by public id where a prefix is asked for."""
        assets = [each for each in self._assets.values() if each.cloud == cloud and each.public_id.startswith(prefix)]
        if prefix:
            return sorted(assets, key=lambda each: each.public_id)
        return sorted(assets, key=lambda each: (each.created_at, each.public_id), reverse=True)

    def clear(self) -> None:
        self._assets.clear()
        self._bytes = 0

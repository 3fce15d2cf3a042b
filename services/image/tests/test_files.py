"""Pictures that could be stored are kept; the others are left out."""

import pytest

from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.files import PictureFiles, unused
from image_service.providers import DrawnPicture
from image_service.storage import FilePage, StoredFile, new_file
from image_service.testing import draw_png


class ShakyStorage:
    """Stores nothing under ``refused`` names."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.files: dict[str, bytes] = {}

    async def put(self, file: str, data: bytes) -> None:
        if file in self.refused:
            raise StorageUnavailableError
        self.files[file] = data

    async def find(self, file: str) -> StoredFile | None:
        return None

    async def delete(self, file: str) -> None:
        if file in self.refused:
            raise StorageUnavailableError
        self.files.pop(file, None)

    async def page(self, after: str | None = None) -> FilePage:
        return FilePage([], None)

    async def url(self, file: str) -> str:
        return file


DRAWN = [DrawnPicture(draw_png(8, 8, seed=seed), seed) for seed in (1, 2, 3)]


async def test_the_others_are_kept() -> None:
    names = [new_file(new_id()) for _ in range(4)]
    storage, files = ShakyStorage({names[1]}), dict[str, bytes]()
    pictures = await PictureFiles(storage).store(names, DRAWN, files)
    assert [(picture.file, picture.seed) for picture in pictures] == [(names[0], 1), (names[2], 3)]
    assert files == {picture.image_id: storage.files[picture.file] for picture in pictures}
    assert unused(names, pictures) == [names[1], names[3]]
    assert sorted(picture.image_id for picture in pictures) == [picture.image_id for picture in pictures]


async def test_none_is_an_error() -> None:
    names = [new_file(new_id()) for _ in range(3)]
    files = PictureFiles(ShakyStorage(set(names)))
    with pytest.raises(StorageUnavailableError):
        await files.store(names, DRAWN, {})
    await files.delete(names)

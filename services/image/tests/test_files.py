"""Pictures that could be stored are kept; the others are left out."""

import asyncio
import io

import pytest
from PIL import Image as Pillow

from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.files import PictureFiles, new_files, unused
from image_service.png import checked
from image_service.providers import DrawnPicture
from image_service.storage import FilePage, StoredFile
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

    async def remove_drafts(self) -> None: ...

    async def page(self, after: str | None = None) -> FilePage:
        return FilePage([], None)

    async def url(self, file: str) -> str:
        return file


DRAWN = [DrawnPicture.of(checked(draw_png(8, 8, seed=seed)), seed) for seed in (1, 2, 3)]


async def test_each_is_stored_with_its_thumbnail() -> None:
    names = new_files(new_id(), 3)
    storage = ShakyStorage(set())
    pictures = await PictureFiles(storage).store(names, DRAWN, {})
    assert [picture.files for picture in pictures] == [names[0:2], names[2:4], names[4:6]]
    assert unused(names, pictures) == []
    for picture in pictures:
        assert (picture.width, picture.height) == (8, 8)
        assert picture.blurhash
        assert picture.thumbnail
        with Pillow.open(io.BytesIO(storage.files[picture.thumbnail])) as thumbnail:
            assert (thumbnail.format, thumbnail.size) == ("WEBP", (8, 8))


async def test_the_others_are_kept() -> None:
    names = new_files(new_id(), 4)
    storage, files = ShakyStorage({names[2]}), dict[str, bytes]()
    pictures = await PictureFiles(storage).store(names, DRAWN, files)
    assert [(picture.file, picture.seed) for picture in pictures] == [(names[0], 1), (names[4], 3)]
    assert files == {picture.image_id: storage.files[picture.file] for picture in pictures}
    assert unused(names, pictures) == [*names[2:4], *names[6:]]
    assert sorted(picture.image_id for picture in pictures) == [picture.image_id for picture in pictures]


async def test_a_picture_is_kept_without_its_thumbnail() -> None:
    names = new_files(new_id(), 1)
    [picture] = await PictureFiles(ShakyStorage({names[1]})).store(names, DRAWN[:1], {})
    assert (picture.files, picture.thumbnail, unused(names, [picture])) == (names[:1], None, names[1:])
    assert picture.blurhash


async def test_none_is_an_error() -> None:
    names = new_files(new_id(), 3)
    files = PictureFiles(ShakyStorage(set(names)))
    with pytest.raises(StorageUnavailableError):
        await files.store(names, DRAWN, {})
    await files.delete(names)


async def test_a_storage_that_hangs_keeps_nobody_waiting_for_a_delete() -> None:
    class HungStorage(ShakyStorage):
        async def delete(self, file: str) -> None:
            await asyncio.Event().wait()

    storage = HungStorage(set())
    await storage.put("nobody's", b"")
    async with asyncio.timeout(10):
        await PictureFiles(storage, delete_seconds=0.05).delete(["nobody's"])
    assert storage.files == {"nobody's": b""}

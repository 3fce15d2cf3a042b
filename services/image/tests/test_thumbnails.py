"""Thumbnails that a picture lacks are made later, and never outlive it."""

from pathlib import Path

import pytest
import pytest_asyncio

from common.mongo import Database
from image_service.gallery import Gallery
from image_service.models import Image
from image_service.png import marked
from image_service.remains import Remains
from image_service.reports import ReportService
from image_service.storage import new_file
from image_service.storage.local import LocalStorage
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore
from image_service.store.reports import ReportStore
from image_service.testing import draw_png, some_image


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest_asyncio.fixture
async def gallery(database: Database, uploads: Path) -> Gallery:
    storage, images = LocalStorage(uploads, public_url="http://localhost:5000"), ImageStore(database)
    await storage.prepare()
    reports = ReportService(ReportStore(database), images, storage, reports_a_day=10)
    generations = GenerationStore(database, owner="test", lease_seconds=30)
    return Gallery(images, storage, Remains(images, generations, reports, storage))


@pytest_asyncio.fixture
async def image(gallery: Gallery, database: Database, uploads: Path, user_id: str) -> Image:
    """A picture without a thumbnail."""
    image = some_image(user_id, file=new_file("a" * 24), width=1, height=1)
    (uploads / image.file).write_bytes(marked(draw_png(640, 320)))
    await ImageStore(database).add_all([image])
    return image


async def test_it_is_made_once(gallery: Gallery, image: Image, uploads: Path) -> None:
    assert (await gallery.urls(image)).thumbnail is None
    assert await gallery.make_thumbnail(image)
    made = await gallery.get(image.user_id, image.id)
    assert made.thumbnail is not None
    assert made.blurhash
    assert (made.width, made.height) == (640, 320)
    assert not await gallery.make_thumbnail(image)
    assert names_in(uploads) == {image.file, made.thumbnail}
    assert (await gallery.urls(made)).thumbnail == f"http://localhost:5000/uploads/{made.thumbnail}"


async def test_a_deleted_picture_gets_none(gallery: Gallery, image: Image, uploads: Path) -> None:
    content = (uploads / image.file).read_bytes()
    await gallery.delete(image.user_id, image.id)
    (uploads / image.file).write_bytes(content)  # as if it were read just before
    assert not await gallery.make_thumbnail(image)
    assert names_in(uploads) == {image.file}


async def test_a_file_that_is_no_picture(gallery: Gallery, image: Image, uploads: Path) -> None:
    (uploads / image.file).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="PNG"):
        await gallery.make_thumbnail(image)

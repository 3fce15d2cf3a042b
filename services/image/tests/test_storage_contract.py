"""What every storage promises, over each of them: a folder, a server that speaks S3, one that speaks Cloudinary."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from PIL import Image as Pillow
from pydantic import SecretStr

from common.clock import utc_now
from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.settings import Settings
from image_service.storage import FoundFile, Storage, Suffix, is_file, new_file, read_all
from image_service.storage.opening import open_storage
from image_service.testing import draw_png

PNG = draw_png(700, 500, seed=77)

Make = Callable[..., Settings]


def draw_webp(width: int, height: int) -> bytes:
    written = io.BytesIO()
    Pillow.new("RGB", (width, height), (90, 20, 30)).save(written, "WEBP")
    return written.getvalue()


@pytest_asyncio.fixture(params=["local", "s3", "cloudinary"])
async def storage(request: pytest.FixtureRequest, settings: Make, s3_settings: Make) -> AsyncIterator[Storage]:
    match request.param:
        case "local":
            opening = open_storage(settings())
        case "s3":
            opening = open_storage(s3_settings())
        case _:
            opening = cloudinary(settings)
    async with opening as opened:
        yield opened


@asynccontextmanager
async def cloudinary(settings: Make) -> AsyncIterator[Storage]:
    """The sandbox's, which is a member of its own: tests of this one alone go without."""
    sandbox = pytest.importorskip("sandbox_service.main", reason="the sandbox is not installed")
    app = sandbox.create_app()
    account = {
        "storage_backend": "cloudinary",
        "cloudinary_url": SecretStr("cloudinary://key:sandbox-secret@pixelmint"),
        "cloudinary_api_base": "http://sandbox",
    }
    async with (
        app.router.lifespan_context(app),
        open_storage(settings(**account), transport=httpx.ASGITransport(app)) as opened,
    ):
        yield opened


async def every_file(storage: Storage) -> list[FoundFile]:
    page = await storage.page()
    files = page.files
    while page.after is not None:
        page = await storage.page(page.after)
        files += page.files
    return files


@pytest.mark.parametrize("suffix", [".png", ".webp"])
async def test_what_was_put_is_read_listed_and_deleted(storage: Storage, suffix: Suffix) -> None:
    file = new_file(new_id(), suffix)
    data = PNG if suffix == ".png" else draw_webp(64, 64)
    before = utc_now() - timedelta(seconds=2)
    await storage.put(file, data)
    assert await read_all(storage, file) == data
    found = {each.name: each for each in await every_file(storage)}[file]
    assert found.size == len(data)
    assert before <= found.modified_at <= utc_now() + timedelta(seconds=2)
    await storage.delete(file)
    await storage.delete(file)
    assert await storage.find(file) is None
    assert await every_file(storage) == []
    with pytest.raises(StorageUnavailableError):
        await read_all(storage, file)


async def test_a_part_of_a_file(storage: Storage) -> None:
    file = new_file(new_id())
    await storage.put(file, PNG)
    stored = await storage.find(file)
    assert stored is not None
    assert stored.size == len(PNG)
    for start, stop in ((0, 1), (100, 200), (len(PNG) - 1, len(PNG)), (0, len(PNG))):
        assert b"".join([chunk async for chunk in stored.chunks(start, stop)]) == PNG[start:stop]
    assert [chunk async for chunk in stored.chunks(5, 5)] == []


async def test_a_put_may_be_repeated(storage: Storage) -> None:
    file, other = new_file(new_id()), draw_png(80, 80, seed=5)
    await storage.put(file, PNG)
    await storage.put(file, PNG)
    assert await read_all(storage, file) == PNG
    second = new_file(new_id())
    await asyncio.gather(storage.put(second, other), storage.put(second, other))
    assert await read_all(storage, second) == other
    assert sorted(each.name for each in await every_file(storage)) == sorted([file, second])


async def test_files_of_before_are_known(storage: Storage) -> None:
    file = "Old-name_of_thirty-two_letters00.png"
    assert is_file(file)
    await storage.put(file, PNG)
    assert await read_all(storage, file) == PNG
    assert [each.name for each in await every_file(storage)] == [file]


async def test_a_copy_for_review_is_kept_but_not_listed(storage: Storage) -> None:
    copy = f"report-{new_id()}-{'a' * 22}.png"
    await storage.put(copy, PNG)
    assert await read_all(storage, copy) == PNG
    assert await every_file(storage) == []
    await storage.delete(copy)
    assert await storage.find(copy) is None


async def test_a_file_that_never_was(storage: Storage) -> None:
    file = new_file(new_id())
    assert await storage.find(file) is None
    await storage.delete(file)
    await storage.remove_drafts()
    assert await every_file(storage) == []


async def test_one_storage_serves_many_at_once(storage: Storage) -> None:
    files = [new_file(new_id(), ".webp") for _ in range(12)]
    data = draw_webp(16, 16)
    await asyncio.gather(*(storage.put(file, data) for file in files))
    assert await asyncio.gather(*(read_all(storage, file) for file in files)) == [data] * 12
    assert sorted(each.name for each in await every_file(storage)) == sorted(files)
    await asyncio.gather(*(storage.delete(file) for file in files))
    assert await every_file(storage) == []


async def test_its_addresses_say_the_name(storage: Storage) -> None:
    file = new_file(new_id())
    assert (await storage.url(file)).endswith(f"/{file}")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a.png", "", ".", "x" * 32 + ".draft"])
async def test_no_other_name_reaches_it(storage: Storage, name: str) -> None:
    for action in (storage.put(name, PNG), storage.find(name), storage.delete(name)):
        with pytest.raises(ValueError, match="not the name"):
            await action

"""Pictures whose files are gone: found, told, and in the end paid back, once."""

from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from common.clients.coin import RefundTooLargeError
from common.clock import utc_now
from common.errors import ServiceUnavailableError
from common.mongo import Database, Document, new_id
from common.testing import FakeCoin
from image_service.gallery import Gallery
from image_service.lost_pictures import LostPictures
from image_service.missing_files import HANDFUL, MissingFiles
from image_service.models import Image
from image_service.remains import Remains
from image_service.reports import ReportService
from image_service.storage import Storage, new_file
from image_service.storage.local import LocalStorage
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore
from image_service.store.missing import MissingStore
from image_service.store.reports import ReportStore
from image_service.testing import draw_png

USER = new_id()
PRICE = 10


class Album:
    """A user's pictures with their files, and those who look after them."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.storage = LocalStorage(folder, public_url="")
        self.images = ImageStore(database)
        self.missing = MissingStore(database)
        self.coin = FakeCoin(balance=1000)
        self.coins = self.coin.client()
        self.documents = database["images"]
        self.database = database

    def gallery(self, storage: Storage) -> Gallery:
        generations = GenerationStore(self.database, owner="me", lease_seconds=30)
        reports = ReportService(ReportStore(self.database), self.images, storage, reports_a_day=20)
        return Gallery(self.images, storage, Remains(self.images, generations, reports, storage))

    def finder(self, storage: Storage | None = None) -> MissingFiles:
        return MissingFiles(storage or self.storage, self.missing, self.gallery(storage or self.storage))

    def giver(self, *, hours: float = 24) -> LostPictures:
        return LostPictures(self.storage, self.missing, self.images, self.coins, missing_hours=hours)

    async def add(self, *, coins: int = PRICE, thumbnail: bool = True) -> Image:
        generation_id = new_id()
        image = Image(
            id=new_id(),
            user_id=USER,
            generation_id=generation_id,
            file=new_file(generation_id),
            thumbnail=new_file(generation_id, ".webp") if thumbnail else None,
            size_bytes=4,
            sha256="",
            prompt="a fox",
            negative_prompt=None,
            style_preset=None,
            width=64,
            height=64,
            steps=30,
            cfg_scale=7,
            seed=1,
            coins_used=coins,
            created_at=utc_now(),
        )
        await self.storage.put(image.file, draw_png(64, 64))
        if image.thumbnail:
            await self.storage.put(image.thumbnail, b"thumbnail")
        if coins:
            await self.coins.hold(USER, coins, key=image.coin_key)
            await self.coins.capture(USER, coins, key=image.coin_key)
        await self.images.add_all([image])
        return image

    async def lose(self, image: Image, *, hours_ago: float = 25) -> Image:
        """The file has been missing for so long."""
        await self.storage.delete(image.file)
        await self.missing.mark([image.id])
        since = utc_now() - timedelta(hours=hours_ago)
        await self.documents.update_one({"_id": image.id}, {"$set": {"missing_since": since}})
        return image

    async def record(self, image: Image) -> Document:
        document = await self.documents.find_one({"_id": image.id})
        assert document is not None
        return document


@pytest_asyncio.fixture
async def album(uploads: Path, database: Database) -> Album:
    made = Album(uploads, database)
    await made.storage.prepare()
    await made.images.ensure_indexes()
    await made.missing.ensure_indexes()
    return made


async def test_a_missing_picture_is_marked_until_it_is_back(album: Album) -> None:
    kept, gone = await album.add(), await album.add()
    await album.storage.delete(gone.file)
    assert await album.finder().sweep(None) is None
    since = (await album.record(gone))["missing_since"]
    await album.finder().sweep(None)
    assert (await album.record(gone))["missing_since"] == since, "the first time counts"
    assert "missing_since" not in await album.record(kept)
    assert await album.missing.count() == 1
    await album.storage.put(gone.file, draw_png(64, 64))
    await album.finder().sweep(None)
    assert "missing_since" not in await album.record(gone)
    assert await album.images.find(USER, gone.id) is not None


async def test_a_record_with_an_impossible_name_stops_nobody(album: Album) -> None:
    strange, gone = await album.add(), await album.add()
    await album.documents.update_one({"_id": strange.id}, {"$set": {"file": "../fox.png"}})
    await album.storage.delete(gone.file)
    await album.finder().sweep(None)
    assert await album.missing.count() == 2
    await album.giver(hours=0).sweep(None)
    assert await album.missing.count() == 0


async def test_thumbnails_are_made_again(album: Album) -> None:
    lost, never, broken = await album.add(), await album.add(thumbnail=False), await album.add()
    assert lost.thumbnail
    assert broken.thumbnail
    await album.storage.delete(lost.thumbnail)
    await album.storage.delete(broken.thumbnail)
    await album.storage.put(broken.file, b"no picture")
    await album.finder().sweep(None)
    made = await album.images.find(USER, never.id)
    assert made is not None
    assert made.thumbnail is not None
    for file in (lost.thumbnail, made.thumbnail):
        stored = await album.storage.find(file)
        assert stored is not None
        assert (b"".join([chunk async for chunk in stored.chunks(0, 12)]))[8:] == b"WEBP"
    assert await album.storage.find(broken.thumbnail) is None
    assert await album.missing.count() == 0


async def test_when_much_is_missing_it_is_the_storage(album: Album) -> None:
    images = [await album.add() for _ in range(HANDFUL + 2)]
    for image in images[: HANDFUL + 1]:
        await album.storage.delete(image.file)
    await album.finder().sweep(None)
    assert await album.missing.count() == 0
    await album.storage.put(images[0].file, draw_png(64, 64))
    await album.finder().sweep(None)
    assert await album.missing.count() == HANDFUL


async def test_a_storage_that_is_away_says_nothing_of_pictures(album: Album, tmp_path: Path) -> None:
    class Away(LocalStorage):
        async def find(self, file: str) -> None:
            raise ServiceUnavailableError

    await album.add()
    with pytest.raises(ServiceUnavailableError):
        await album.finder(Away(tmp_path, public_url="")).sweep(None)
    assert await album.missing.count() == 0


async def test_what_is_missing_for_too_long_is_paid_back_once(album: Album) -> None:
    paid, covered = await album.lose(await album.add()), await album.lose(await album.add(coins=0))
    recent, kept = await album.lose(await album.add(), hours_ago=23), await album.add()
    before = album.coin.balance
    for _ in range(3):
        await album.giver().sweep(None)
    assert album.coin.balance == before + PRICE
    assert [await album.images.find(USER, image.id) is None for image in (paid, covered, recent, kept)] == [
        True,
        True,
        False,
        False,
    ]
    assert await album.images.total(USER) == 2
    record = await album.record(paid)
    assert record["refunded_coins"] == PRICE
    assert {"missing_since", "lost_at", "purge_at"} <= record.keys(), "and its thumbnail is removed with it"


async def test_one_that_came_back_in_the_last_moment_is_kept(album: Album) -> None:
    image = await album.lose(await album.add())
    await album.storage.put(image.file, draw_png(64, 64))
    before = album.coin.balance
    await album.giver().sweep(None)
    assert (album.coin.balance, await album.images.find(USER, image.id) is not None) == (before, True)


@pytest.mark.parametrize("crash", ["before the refund", "after the refund"])
async def test_every_step_may_be_repeated(album: Album, crash: str) -> None:
    image = await album.lose(await album.add())
    before = album.coin.balance
    await album.missing.set_lost(image.id, utc_now())
    if crash == "after the refund":
        await album.coins.refund(USER, PRICE, hold_key=image.coin_key, key=f"lost:{image.id}")
    # Back, but too late: it is decided, and perhaps paid back.
    await album.storage.put(image.file, draw_png(64, 64))
    assert await album.missing.clear([image.id]) == []
    await album.giver().sweep(None)
    assert (album.coin.balance, await album.images.find(USER, image.id)) == (before + PRICE, None)


async def test_while_coin_is_away_nothing_is_taken_out(album: Album) -> None:
    image = await album.lose(await album.add())
    before = album.coin.balance
    album.coin.fail_next = [503] * 3
    with pytest.raises(ServiceUnavailableError):
        await album.giver().sweep(None)
    assert await album.images.find(USER, image.id) is not None
    await album.giver().sweep(None)
    assert (album.coin.balance, await album.images.find(USER, image.id)) == (before + PRICE, None)


async def test_what_cannot_be_paid_back_stays_for_somebody_to_look_at(album: Album) -> None:
    image = await album.lose(await album.add())
    album.coin.fail_next = [RefundTooLargeError()]
    for _ in range(2):
        await album.giver().sweep(None)
    assert await album.images.find(USER, image.id) is not None
    assert (await album.record(image))["refund_refused"] == "refund_too_large"
    assert await album.missing.count() == 1, "the alarm stays"


async def test_one_whose_account_is_gone_is_taken_out(album: Album) -> None:
    image = await album.lose(await album.add())
    album.coin.has_account = False
    await album.giver().sweep(None)
    assert await album.images.find(USER, image.id) is None


async def test_its_questions_have_indexes(album: Album) -> None:
    for query in ({"missing_since": {"$exists": True}, "deleted": False}, {"lost_at": {"$exists": True}}):
        plan = await album.documents.find(query).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])

"""However often the process dies, before or after whichever step: money and pictures agree in the end."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from common.auth import ServiceTokenSigner
from common.clients.coin import CoinClient
from common.clients.subscription import SubscriptionClient
from common.mongo import Database, new_id
from common.testing import TEST_SECRETS, service_settings
from image_service.changes import Changes
from image_service.covers import Covers
from image_service.drawing import MAX_ATTEMPTS, Drawing
from image_service.files import PictureFiles
from image_service.funds import Funds
from image_service.models import Generation
from image_service.moves import FencedError, Moves
from image_service.places import Places
from image_service.providers.stability import open_engine
from image_service.run import Run
from image_service.runner import GenerationRunner
from image_service.settings import Settings
from image_service.storage.local import LocalStorage
from image_service.store.covers import EntitlementStore, QuotaStore
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore
from image_service.testing import WORLD_SETTINGS, World, some_generation

ResultT = TypeVar("ResultT")


class Killed(BaseException):
    """As ``kill -9``: nothing that the code does about it has any effect, since all of it goes through ``Fate``."""


class Fate:
    """Lets a process die at its n-th step, before or after it is done."""

    def __init__(self, step: int | None, *, is_after: bool) -> None:
        self._left = step
        self._is_after = is_after
        self.is_dead = False

    async def take(self, action: Callable[[], Awaitable[ResultT]]) -> ResultT:
        if self.is_dead:
            raise Killed
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.is_dead = True
                if self._is_after:
                    await action()
                raise Killed
        return await action()


class MortalWorld(httpx.AsyncBaseTransport):
    def __init__(self, world: World, fate: Fate) -> None:
        self._world, self._fate = world, fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._fate.take(lambda: self._world.handle_async_request(request))


class MortalStore(GenerationStore):
    def __init__(self, database: Database, fate: Fate, *, owner: str) -> None:
        super().__init__(database, owner=owner, lease_seconds=-1)  # nobody waits for the end of a lease here
        self._fate = fate

    async def move(self, generation: Generation, after: Any, **changes: Any) -> Generation | None:
        return await self._fate.take(lambda: super(MortalStore, self).move(generation, after, **changes))


class MortalQuotas(QuotaStore):
    def __init__(self, database: Database, fate: Fate) -> None:
        super().__init__(database)
        self._fate = fate

    async def reserve(self, user_id: str, day: str, generation_id: str, samples: int, *, limit: int) -> bool:
        reserve = super().reserve
        return await self._fate.take(lambda: reserve(user_id, day, generation_id, samples, limit=limit))


class MortalStorage(LocalStorage):
    def __init__(self, folder: Path, fate: Fate) -> None:
        super().__init__(folder, public_url="http://localhost:5000")
        self._fate = fate

    async def put(self, file: str, data: bytes) -> None:
        await self._fate.take(lambda: super(MortalStorage, self).put(file, data))

    async def delete(self, file: str) -> None:
        await self._fate.take(lambda: super(MortalStorage, self).delete(file))


async def live(database: Database, world: World, folder: Path, fate: Fate, *, owner: str) -> None:
    """Work on the order until its end, or one's own."""
    transport = MortalWorld(world, fate)
    store = MortalStore(database, fate, owner=owner)
    run_settings = service_settings(
        Settings, "mongodb://unused", "unused", stability_api_key=SecretStr("sk"), **WORLD_SETTINGS
    )
    signer = ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image")
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://coin.test") as coin,
        httpx.AsyncClient(transport=transport, base_url="http://subscription.test") as subscription,
        open_engine(run_settings, transport=transport) as engine,
    ):
        covers = Covers(
            SubscriptionClient(subscription, signer),
            EntitlementStore(database),
            MortalQuotas(database, fate),
            daily_images=5,
        )
        funds = Funds(CoinClient(coin, signer), covers)
        files, changes = PictureFiles(MortalStorage(folder, fate)), Changes(store)
        moves = Moves(store, changes)
        places = Places(drawing=4, drawing_per_user=4, waiting=4, per_user=8)
        drawing = Drawing(store, engine, files, places, moves, changes)
        runner = GenerationRunner(store, ImageStore(database), funds, files, drawing, moves)
        generation = await store.claim_stale()
        if generation is not None:
            # The claim of the first life stands for the request that brought the order.
            await runner.drive(Run(generation, is_takeover=generation.lease_n > 2))


LIVES = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=5)
"""After how many steps each ends, whether the last one is done, and whether a subscription covers meanwhile."""

ANSWERS = st.lists(st.sampled_from(["good", "lost", "refused", "rejected"]), max_size=4)


def answer(world: World, kind: str) -> None:
    match kind:
        case "lost":
            world.engine.answers.append(httpx.ReadError("reset"))
        case "refused":
            world.engine.answers.append(httpx.Response(401, json={"name": "unauthorized"}))
        case "rejected":
            world.engine.answers.append(httpx.Response(400, json={"name": "invalid_prompts"}))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=LIVES, answers=ANSWERS, balance=st.sampled_from([5, 100, 100]), both=st.booleans())
async def test_money_and_pictures_agree(
    database: Database,
    lives: list[tuple[int, bool, bool]],
    answers: list[str],
    balance: int,
    both: bool,
) -> None:
    world = World(balance=balance)
    world.subscription.until = "2999-01-01T00:00:00.000Z"
    for kind in answers:
        answer(world, kind)
    store = GenerationStore(database, owner="first", lease_seconds=-1)
    await store.ensure_indexes()
    user_id = new_id()
    generation = await store.add(some_generation(user_id))
    assert generation is not None
    with TemporaryDirectory() as name:
        folder = Path(name)
        for n, (step, is_after, is_covered) in enumerate([*lives, (None, False, False), (None, False, False)]):
            world.subscription.active = is_covered
            owners = [f"{n}", f"{n}'"] if both else [f"{n}"]  # two processes take it over at once: one is fenced
            outcomes = [live(database, world, folder, Fate(step, is_after=is_after), owner=owner) for owner in owners]
            for outcome in await asyncio.gather(*outcomes, return_exceptions=True):
                assert outcome is None or isinstance(outcome, Killed | FencedError), outcome
        ended = await store.get(generation.id)
        assert not ended.open
        assert ended.attempts <= MAX_ATTEMPTS
        images = await ImageStore(database).find_all(user_id, [picture.image_id for picture in ended.pictures])
        kept = {image.file for image in images} | {image.thumbnail for image in images}
        assert set(os.listdir(folder)) >= kept - {None}
        day = ended.created_at.date().isoformat()
        covered = await QuotaStore(database).count(user_id, day)
        assert world.coin.held == 0
        if ended.state == "succeeded":
            assert len(images) == 2
            assert covered == (2 if ended.cover == "subscription" else 0)
            assert balance - world.coin.balance == ended.coins_used == (20 if ended.cover == "coins" else 0)
        else:
            assert ended.state == "failed"
            assert (images, covered, world.coin.balance) == ([], 0, balance)

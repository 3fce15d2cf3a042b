"""One order and the lives of the processes that work on it, one after the other or beside each other, for tests."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar, Literal

import httpx
from pydantic import SecretStr

from common.clients.coin import CoinClient
from common.clients.subscription import SubscriptionClient
from common.mongo import Database, new_id
from common.service_auth import ServiceTokenSigner
from common.testing import TEST_SECRETS, service_settings
from image_service.changes import Changes
from image_service.covers import Covers
from image_service.drawing import MAX_ATTEMPTS, Drawing
from image_service.errors import GenerationCanceledError, StorageUnavailableError
from image_service.failures import failure_of
from image_service.files import PictureFiles
from image_service.funds import Funds
from image_service.models import Generation, State
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
from image_service.testing import FOX_ORDER, WORLD_SETTINGS, Answer, World, artifact, draw_png, some_generation
from image_service.testing.fates import Doom, Fate, KilledError, MortalTransport, mortal

Said = Literal["good", "withheld", "lost", "refused", "rejected"]
"""What the engine answers; ``withheld`` is one picture of two."""

PIXELS = 64
"""Of a side: small pictures are drawn like others, but sooner."""

MAX_SECONDS = 30.0
"""One order's; a tenth of a second unless something waits in vain."""

MAX_CALLS = 9
"""Of the engine that are answered; more than there may be."""

ORDER = FOX_ORDER.model_copy(update={"width": PIXELS, "height": PIXELS})
SIGNER = ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image")
SETTINGS = service_settings(Settings, "mongodb://unused", "unused", stability_api_key=SecretStr("sk"), **WORLD_SETTINGS)


@dataclass(frozen=True)
class Life:
    """One process's work on an order, from where it finds it.

    Attributes:
        doom: What happens to it; without it, it brings the order to its end.
        is_covered: Whether a subscription covers meanwhile.
        sleeps: While so many others live, if it falls asleep; what it sent late arrives then too.
        cancels: It begins by calling the order off.
    """

    doom: Doom | None = None
    is_covered: bool = False
    sleeps: int = 1
    cancels: bool = False


@dataclass(frozen=True)
class Script:
    """What an order goes through.

    Attributes:
        lives: Of those who work on it.
        said: By the engine, call by call; afterwards it is good.
        balance: The user's coins.
    """

    lives: Sequence[Life]
    said: Sequence[Said] = ()
    balance: int = 100


class Play:
    """One order of two pictures, and all that happens to it.

    Args:
        database: Where it is written; other plays may be there too.
        folder: In which its files get one of their own.
        script: What happens.
    """

    ids: ClassVar[set[str]] = set()
    """Of all orders: nobody is to take over another play's. Those side by side are made before the first one runs."""

    def __init__(self, database: Database, folder: Path, script: Script) -> None:
        self.script = script
        self.world = World(balance=script.balance)
        self.world.subscription.until = "2999-01-01T00:00:00.000Z"
        good: Said = "good"
        said = [*script.said, *repeat(good, MAX_CALLS)]
        self.world.engine.answers += [_answer(n, each) for n, each in enumerate(said)]
        self.fates: list[Fate] = []
        self.wrong: list[str] = []
        self.generation_id = new_id()
        self.ids.add(self.generation_id)
        self._user_id = new_id()
        self._folder = folder / self.generation_id
        self._folder.mkdir()
        self._database = database
        self._images = ImageStore(database)
        self._store = _WatchedStore(database, self)

    async def run(self) -> Generation:
        """Let them live, and after them some to whom nothing happens; returns the order when all is over.

        Raises:
            TimeoutError: It has no end.
        """
        async with asyncio.timeout(MAX_SECONDS):
            return await self._run()

    async def _run(self) -> Generation:
        order = some_generation(self._user_id, id=self.generation_id, order=ORDER)
        assert await self._store.add(order) is not None
        waiting: list[tuple[int, Fate, asyncio.Task[None]]] = []
        for n, life in enumerate([*self.script.lives, Life(), Life()]):
            self.world.subscription.active = life.is_covered
            fate = Fate(life.doom)
            self.fates.append(fate)
            task = asyncio.create_task(self._live(life, fate, is_first=n == 0))
            falling_asleep = asyncio.create_task(fate.asleep.wait())
            await asyncio.wait([task, falling_asleep], return_when=asyncio.FIRST_COMPLETED)
            falling_asleep.cancel()
            waiting.append((n + life.sleeps if fate.asleep.is_set() or fate.late else n, fate, task))
            for due in [each for each in waiting if each[0] <= n or n >= len(self.script.lives)]:
                waiting.remove(due)
                await _end(*due[1:])
        await self._live(Life(), Fate(), is_first=False)  # whatever they did when they awoke
        return await self._store.get(self.generation_id)

    async def check(self, ended: Generation) -> None:
        """Look at all that is left: money, pictures and files agree, and nothing was ever wrong on the way."""
        coin = self.world.coin
        assert self.wrong == []
        assert not ended.open
        assert len(self.world.engine.orders) <= ended.attempts <= MAX_ATTEMPTS, "each call is counted before it is made"
        assert ended.holds_key == (ended.state == "succeeded")
        images = await self._images.find_all(self._user_id, [picture.image_id for picture in ended.pictures])
        used = await QuotaStore(self._database).count(self._user_id, ended.created_at.date().isoformat())
        assert coin.held == 0
        assert self.script.balance - coin.balance == sum(coin.captured.values()) == ended.coins_used
        if ended.state == "succeeded":
            assert len(images) == len(ended.pictures) > 0
            paid = (0, len(images)) if ended.cover == "subscription" else (10 * len(images), 0)
            assert (ended.coins_used, used) == paid
        else:
            assert (ended.state, images, used, ended.coins_used) == ("failed", [], 0, 0)
        for image in images:
            assert hashlib.sha256((self._folder / image.file).read_bytes()).hexdigest() == image.sha256
        files = set(os.listdir(self._folder))
        kept = {name for image in images for name in (image.file, image.thumbnail)}
        assert files >= kept - {None}
        # What comes when everybody has cleared up, or could not be removed, is left to the sweeper.
        if not any(fate.struck in ("put", "delete") and fate.is_unheard for fate in self.fates):
            assert files == kept - {None}

    async def _live(self, life: Life, fate: Fate, *, is_first: bool) -> None:
        if life.cancels:
            failure = failure_of(GenerationCanceledError())
            generation = await self._store.withdraw(self._user_id, self.generation_id, failure)
        else:
            generation = await self._store.claim_stale(besides=self.ids - {self.generation_id})
        if generation is None:
            return
        transport = MortalTransport(_WatchedWorld(self), fate)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://coin.test") as coin,
            httpx.AsyncClient(transport=transport, base_url="http://subscription.test") as subscription,
            open_engine(SETTINGS, transport=transport) as engine,
        ):
            store: GenerationStore = mortal(self._store, fate, "move")
            quotas = mortal(QuotaStore(self._database), fate, "reserve", "find_reserved", "settle")
            entitlements = EntitlementStore(self._database)
            covers = Covers(SubscriptionClient(subscription, SIGNER), entitlements, quotas, daily_images=5)
            storage = LocalStorage(self._folder, public_url="http://localhost:5000")
            files = PictureFiles(mortal(storage, fate, "put", "delete", lost=StorageUnavailableError()))
            changes = Changes(store)
            moves = Moves(store, changes)
            places = Places(drawing=4, drawing_per_user=4, waiting=4, per_user=8)
            drawing = Drawing(store, engine, files, places, moves, changes)
            images = mortal(self._images, fate, "add_all")
            runner = GenerationRunner(store, images, Funds(CoinClient(coin, SIGNER), covers), files, drawing, moves)
            await runner.drive(Run(generation, is_takeover=not is_first))

    async def state(self) -> State:
        return (await self._store.get(self.generation_id)).state


class _WatchedStore(GenerationStore):
    """Notes steps of who has lost the order; nobody waits for the end of a lease here."""

    def __init__(self, database: Database, play: Play) -> None:
        super().__init__(database, owner="somebody", lease_seconds=-1)
        self._play = play

    async def move(self, generation: Generation, after: State, **changes: Any) -> Generation | None:
        moved = await super().move(generation, after, **changes)
        if moved is not None and moved.lease_n != generation.lease_n:
            self._play.wrong.append(f"{after} by {generation.lease_n}, while {moved.lease_n} has it")
        return moved

    async def hand_over(self, generation: Generation, *, seconds: float) -> None:
        await super().hand_over(generation, seconds=-1)


class _WatchedWorld(httpx.AsyncBaseTransport):
    """Notes coins that are taken before that is decided."""

    def __init__(self, play: Play) -> None:
        self._play = play

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/captures") and (state := await self._play.state()) not in (
            "stored",
            "succeeded",
        ):
            self._play.wrong.append(f"captured while {state}")
        return await self._play.world.handle_async_request(request)


def _answer(call: int, said: Said) -> Answer:
    """Answer a call of the engine; no two calls are answered with the same pictures."""

    async def answer(_: httpx.Request) -> httpx.Response:
        match said:
            case "lost":
                raise httpx.ReadError("reset")
            case "refused":
                return httpx.Response(401, json={"name": "unauthorized"})
            case "rejected":
                return httpx.Response(400, json={"name": "invalid_prompts"})
        reasons = ["SUCCESS", "CONTENT_FILTERED" if said == "withheld" else "SUCCESS"]
        drawn = [(seed, draw_png(PIXELS, PIXELS, seed=seed)) for seed in (2 * call + 1, 2 * call + 2)]
        artifacts = [
            artifact(png, seed=seed, reason=reason) for (seed, png), reason in zip(drawn, reasons, strict=True)
        ]
        return httpx.Response(200, json={"artifacts": artifacts})

    return answer


async def _end(fate: Fate, task: asyncio.Task[None]) -> None:
    """Deliver what a process sent late, wake it, and see how it ends."""
    while fate.late:
        await asyncio.gather(fate.late.pop(0)(), return_exceptions=True)  # its sender does not hear what became of it
    fate.wake()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    assert outcome is None or isinstance(outcome, KilledError | FencedError), outcome

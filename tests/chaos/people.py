"""Users with phones: they order, give up, come back, delete, buy and spend; and remember what they heard."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from chaos.tally import Tally
from journey.answers import Json
from journey.phone import Phone, fresh_payment
from journey.pictures import GENERATE

PATIENCE_SECONDS = 100.0
"""For one answer."""

PAUSE_SECONDS = 0.3
UNKNOWN = (409, 429, 502, 503, 504)
NOT_CHARGED = "not charged"
COINS = 100
WORDS = (*("",) * 8, " [sandbox:filtered-1]", " [sandbox:moderated]")
"""What the engine makes of a prompt."""


@dataclass
class Order:
    """One order for pictures under a key, and all that was answered to it.

    Attributes:
        mark: A word of its prompt that no other has.
        told: The successes: what became of it by each answer.
        refusals: Answers by which nothing was charged, by their codes.
        unknown: Answers, or their absence, that left open what happened; also requests that were given up.
        pictures: SHA-256 of the pictures that came with an answer, by id.
    """

    mark: str
    key: str
    body: Json
    told: list[Json] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    unknown: int = 0
    pictures: dict[str, str] = field(default_factory=dict)
    is_abandoned: bool = False

    def learn(self, content: Json) -> None:
        """Remember a success as far as it must be the same every time."""
        for image in content["images"]:
            if image.get("imageData"):
                self.pictures[image["id"]] = hashlib.sha256(image["imageData"].encode()).hexdigest()
        images = [{name: image[name] for name in ("id", "imageUrl", "seed")} for image in content["images"]]
        generation = content.get("generationId") or content["id"]
        self.told.append({"generation": generation, "coins": content["coinsUsed"], "images": images})


@dataclass
class Person:
    """A user, what was done, and what was heard of it."""

    phone: Phone
    is_subscribed: bool
    orders: list[Order] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    """Pictures whose deletion was asked for; who heard nothing of it cannot know whether they are gone."""
    surely_deleted: set[str] = field(default_factory=set)
    deducted: dict[str, bool] = field(default_factory=dict)
    """Deducts by reason: whether it is known that they came about."""
    bought: dict[str, bool] = field(default_factory=dict)


Send = Callable[[], Awaitable[httpx.Response]]


class Crowd:
    """Has people do things until it is told to stop."""

    def __init__(self, tally: Tally, dice: random.Random) -> None:
        self._tally = tally
        self._dice = dice
        self._ends = 0.0

    async def work(self, person: Person, until: float, patience_until: float) -> None:
        """Do one thing after the other until ``until`` (of ``time.monotonic``), and finish the last."""
        self._ends = patience_until
        while time.monotonic() < until:
            [action] = self._dice.choices((self._order, self._buy, self._deduct, self._delete), (14, 2, 3, 2))
            try:
                await action(person)
            except AssertionError as error:
                self._tally.violated(f"user {person.phone.account.id}: {error}")
            await asyncio.sleep(self._dice.uniform(0, PAUSE_SECONDS))  # people look at what they got

    async def _order(self, person: Person) -> None:
        mark = uuid4().hex
        body = {
            "prompt": f"a fox {mark}{self._dice.choice(WORDS)}",
            "samples": self._dice.choice((1, 1, 1, 2)),
            "responseFormat": self._dice.choice(("url", "url", "base64")),
            "width": 640,
            "height": 1536,
        }
        order = Order(mark, uuid4().hex, body)
        person.orders.append(order)
        self._tally.count("orders")
        chance = self._dice.random()
        if chance < 0.25:
            self._tally.count("orders sent twice")
            await asyncio.gather(self._until_known(person, order), self._until_known(person, order))
        elif chance < 0.5:
            self._tally.count("orders given up early")
            await self._give_up(person, order)
        elif chance < 0.65:
            self._tally.count("orders not waited for")
            await self._without_waiting(person, order)
        else:
            await self._until_known(person, order)

    async def _give_up(self, person: Person, order: Order) -> None:
        """Hang up in the middle; half of the time for good."""
        order.unknown += 1
        try:
            async with asyncio.timeout(self._dice.uniform(0.02, 2.0)):
                self._heard(order, await self._post(person, GENERATE, order.body, order.key))
                return
        except (TimeoutError, httpx.TransportError):
            pass
        if self._dice.random() < 0.5:
            order.is_abandoned = True
        else:
            await self._until_known(person, order)

    async def _without_waiting(self, person: Person, order: Order) -> None:
        """Order by ``Prefer: respond-async`` and ask what became of it; some are canceled."""
        headers = {"Idempotency-Key": order.key, "Prefer": "respond-async"}
        answer = await self._answered(lambda: person.phone.send("POST", GENERATE, json=order.body, headers=headers))
        if answer is None or answer.status_code != httpx.codes.ACCEPTED:
            self._heard(order, answer)
            return
        location = answer.headers["location"]
        if self._dice.random() < 0.2:
            self._tally.count("orders canceled")
            await self._answered(lambda: person.phone.delete(location))
        while time.monotonic() < self._ends:
            answer = await self._answered(lambda: person.phone.get(location, wait=5))
            if answer is None:
                break
            assert answer.status_code == httpx.codes.OK, f"{location}: {answer.status_code} {answer.text[:300]}"
            generation = answer.json()["data"]["generation"]
            if generation["status"] == "succeeded":
                order.learn(generation)
                self._tally.outcomes["generation succeeded"] += 1
                return
            if generation["status"] in ("failed", "canceled"):
                order.refusals.append(generation["status"])
                self._tally.outcomes[f"generation {generation['status']}"] += 1
                return
        order.unknown += 1
        raise AssertionError(f"order {order.mark}: still not known what became of it")

    async def _until_known(self, person: Person, order: Order) -> None:
        self._heard(order, await self._answered(lambda: self._post(person, GENERATE, order.body, order.key), order))

    def _heard(self, order: Order, answer: httpx.Response | None) -> None:
        if answer is None:
            order.unknown += 1
            raise AssertionError(f"order {order.mark}: no answer to the end")
        if answer.is_success:
            order.learn(answer.json()["data"])
            self._tally.outcomes["generate 200"] += 1
            return
        body = answer.json()
        self._tally.outcomes[f"generate {answer.status_code} {body['code']}"] += 1
        if is_refusal(answer):
            order.refusals.append(body["code"])
        else:
            order.unknown += 1

    async def _answered(self, send: Send, order: Order | None = None) -> httpx.Response | None:
        """Ask until it is known what happened; ``None`` if it never is."""
        while time.monotonic() < self._ends:
            try:
                answer = await send()
            except httpx.TransportError:
                self._tally.outcomes["no answer"] += 1
            else:
                if answer.is_success or is_refusal(answer) or is_too_late(answer):
                    return answer
                if answer.status_code not in UNKNOWN:
                    raise AssertionError(f"{answer.request.url.path}: {answer.status_code} {answer.text[:300]}")
                self._tally.outcomes[f"{answer.status_code} {answer.json()['code']}"] += 1
            if order is not None:
                order.unknown += 1
            await asyncio.sleep(PAUSE_SECONDS)
        return None

    async def _post(self, person: Person, path: str, body: Json, key: str) -> httpx.Response:
        return await person.phone.post(path, body, key=key)

    async def _deduct(self, person: Person) -> None:
        reason, key = uuid4().hex, uuid4().hex
        person.deducted[reason] = False
        body = {"amount": self._dice.randint(1, 3), "reason": reason}
        answer = await self._answered(lambda: self._post(person, "/api/coin/deduct", body, key))
        assert answer is not None, f"deduct {reason}: no answer to the end"
        if answer.is_success:
            person.deducted[reason] = True
        else:
            del person.deducted[reason]
        self._tally.outcomes[f"deduct {answer.status_code}"] += 1

    async def _buy(self, person: Person) -> None:
        payment, key = fresh_payment(), uuid4().hex
        person.bought[payment] = False
        body = {"amount": COINS, "paymentMethod": "stripe", "transactionId": payment}
        answer = await self._answered(lambda: self._post(person, "/api/coin/buy", body, key))
        assert answer is not None, f"purchase {payment}: no answer to the end"
        assert answer.is_success, f"purchase {payment}: {answer.text[:300]}"
        person.bought[payment] = True
        self._tally.outcomes["buy 200"] += 1

    async def _delete(self, person: Person) -> None:
        known = {image["id"] for order in person.orders for told in order.told for image in told["images"]}
        left = sorted(known - person.deleted)
        if not left:
            return
        image = self._dice.choice(left)
        person.deleted.add(image)
        answer = await self._answered(lambda: person.phone.delete(f"/api/image/{image}"))
        if answer is not None:
            person.surely_deleted.add(image)
            self._tally.outcomes[f"delete {answer.status_code}"] += 1


def is_refusal(answer: httpx.Response) -> bool:
    """Whether an answer says for certain that nothing was charged, and why."""
    if answer.status_code in (402, 403, 404, 410):
        return True
    return answer.status_code >= 500 and NOT_CHARGED in answer.json()["message"]


def is_too_late(answer: httpx.Response) -> bool:
    """Whether an order could not be canceled any more, and goes on."""
    return answer.status_code == httpx.codes.CONFLICT and answer.json()["code"] != "request_in_progress"

"""What users do with coins, each operation under a key until its outcome is known, and what they were told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from journey.answers import Json, data, described, error
from journey.asking import PATIENCE_SECONDS, asked_until_known
from journey.phone import Phone, fresh_payment
from journey.pictures import GENERATE
from journey.polling import until
from journey.sandbox import Sandbox

BUY = "/api/coin/buy"
CHECKOUT = "/api/coin/checkout"
DEDUCT = "/api/coin/deduct"
EARN = "/api/coin/earn"
COINS = 100
"""Of every payment."""


@dataclass
class Tally:
    """How far all users have come together."""

    done: int = 0
    unknown: int = 0
    """Answers that left open what happened."""
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Told:
    """A success that a user was answered."""

    path: str
    body: Json
    key: str
    answer: Json


@dataclass
class User:
    """A phone, and what must be in its statement by all that it and the vendor were told."""

    phone: Phone
    tally: Tally
    told: list[Told] = field(default_factory=list)
    lines: dict[str, Json] = field(default_factory=dict)
    """Transactions by id, as they were answered."""
    payments: set[str] = field(default_factory=set)
    """Whose coins are this user's, by what all their names have in common."""
    returned: set[str] = field(default_factory=set)
    """Those of them whose money went back."""
    drawn: list[Json] = field(default_factory=list)

    async def ask(self, path: str, body: Json, *refusals: str) -> Json | None:
        """Do one operation; return what was answered, ``None`` if it was refused for one of these reasons."""
        key = uuid4().hex
        answer, unknown = await asked_until_known(lambda: self.phone.post(path, body, key=key))
        self.tally.done += 1
        self.tally.unknown += unknown
        kind = path.rpartition("/")[2]
        if not answer.is_success:
            code = error(answer, answer.status_code)["code"]
            assert code in refusals, described(answer)
            self.tally.outcomes[f"{kind} {code}"] += 1
            return None
        content = data(answer)
        self.tally.outcomes[kind] += 1
        self.told.append(Told(path, body, key, content))
        if line := content.get("transaction"):
            assert self.lines.setdefault(line["id"], line) == line
        return content

    async def deduct(self, coins: int) -> None:
        await self.ask(DEDUCT, {"amount": coins, "reason": uuid4().hex}, "insufficient_coins")

    async def earn(self) -> None:
        await self.ask(EARN, {"amount": 10, "source": "ad_watch"}, "earn_limit_reached")

    async def draw(self) -> None:
        body = {"prompt": f"a fox {uuid4().hex}", "width": 640, "height": 1536, "responseFormat": "url"}
        if drawn := await self.ask(GENERATE, body, "insufficient_coins"):
            self.drawn.append(drawn)

    async def buy(self, payment: str, *refusals: str) -> bool:
        """Claim a payment; say whether its coins are this user's."""
        body = {"amount": COINS, "paymentMethod": "stripe", "transactionId": payment}
        bought = await self.ask(BUY, body, *refusals)
        if bought is not None:
            assert bought["transaction"]["amount"] == COINS
            self.payments.add(name_of(payment))
        return bought is not None

    async def checkout(self, sandbox: Sandbox) -> str:
        """Order coins and pay them at Stripe; whatever becomes of the phone, they are this user's from then on."""
        ordered = await self.ask(CHECKOUT, {"amount": COINS})
        assert ordered is not None
        payment: str = ordered["transactionId"]
        await sandbox.put_payment(payment, status="succeeded")
        self.payments.add(name_of(payment))
        return payment

    async def tell(self, sandbox: Sandbox, type_: str, payment: str) -> None:
        """Have Stripe send one event until it is taken in, as Stripe does."""
        event = f"evt_{uuid4().hex}"

        async def taken() -> bool:
            sent = await sandbox.webhook(type_, payment, eventId=event)
            assert sent["status"] in (200, 502, 503, 504), sent
            self.tally.unknown += sent["status"] != httpx.codes.OK
            return bool(sent["status"] == httpx.codes.OK)

        await until(taken, f"{type_} is taken in", seconds=PATIENCE_SECONDS)
        self.tally.done += 1
        self.tally.outcomes[type_] += 1

    async def spend_all(self) -> None:
        answer, _ = await asked_until_known(lambda: self.phone.get("/api/coin/balance"))
        await self.deduct(max(1, data(answer)["balance"]))


Trade = Callable[[User, User, Sandbox], Awaitable[None]]
"""What a user does, perhaps with another one."""


def name_of(payment: str) -> str:
    """What ``pi_X``, ``ch_X`` and ``txn_X`` have in common."""
    return payment.partition("_")[2]


async def buy_once(user: User, _: User, __: Sandbox) -> None:
    assert await user.buy(fresh_payment())


async def buy_twice_at_once(user: User, _: User, __: Sandbox) -> None:
    payment = fresh_payment(prefix="pi")
    assert all(await asyncio.gather(user.buy(payment), user.buy(f"ch_{name_of(payment)}")))


async def buy_both(user: User, other: User, _: Sandbox) -> None:
    """Two users claim one payment at once: it is one's."""
    payment, refusal = fresh_payment(), "payment_already_used"
    claims = await asyncio.gather(user.buy(payment, refusal), other.buy(payment, refusal))
    assert sum(claims) == 1, payment


async def pay_and_leave(user: User, _: User, sandbox: Sandbox) -> None:
    """The webhook alone brings the coins."""
    await user.tell(sandbox, "payment_intent.succeeded", await user.checkout(sandbox))


async def pay_and_claim(user: User, _: User, sandbox: Sandbox) -> None:
    """Webhook and phone come at once."""
    payment = await user.checkout(sandbox)
    await asyncio.gather(user.tell(sandbox, "payment_intent.succeeded", payment), user.buy(payment))


async def buy_and_return(user: User, other: User, sandbox: Sandbox) -> None:
    """The money goes back after the coins were spent; claimed again, by whomever, it brings nothing more."""
    payment = fresh_payment(prefix="ch")
    assert await user.buy(payment)
    await user.spend_all()
    await sandbox.put_payment(payment, refunded=True)
    user.returned.add(name_of(payment))
    await asyncio.gather(user.tell(sandbox, "charge.refunded", payment), user.buy(payment))
    assert not await other.buy(payment, "payment_already_used")


async def deduct(user: User, _: User, __: Sandbox) -> None:
    await user.deduct(1 + len(user.told) % 3)


async def earn(user: User, _: User, __: Sandbox) -> None:
    await user.earn()


async def draw(user: User, _: User, __: Sandbox) -> None:
    await user.draw()

"""Any interleaving of any operations, through two processes, leaves every wallet sound.

Hypothesis draws what is asked and what runs at the same time; the ledger is compared with a fold of its entries and
with what the callers were told.
"""

import asyncio
from collections import defaultdict
from typing import Any, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coin_service.audit.auditor import Auditor
from coin_service.audit.report import Fault
from coin_service.audit.scan import LedgerScan
from coin_service.checkouts import CheckoutStore
from coin_service.earning import EarningService
from coin_service.holds import HoldService
from coin_service.ledger import Ledger, Moved, Request
from coin_service.models import Entry
from coin_service.prices import Prices
from coin_service.promises import Promises
from coin_service.providers import Standing
from coin_service.service import CoinService
from coin_service.settings import EarnRule, Settings
from coin_service.settlement import SettlementService
from coin_service.store import LedgerStore, from_document
from common.errors import ServiceError
from common.mongo import Database, open_database
from common.testing import service_settings
from common.testing.auth import FakeAuth

Kind = Literal["deduct", "earn", "hold", "capture", "void", "pay", "return"]
Step = tuple[Kind, int, int, str | None]

PAID = 100
"""Coins of each payment, and its price."""

KEYS = ("k1", "k2", "k3")
EXPECTED = {"insufficient_coins", "hold_resolved", "hold_not_found", "idempotency_key_reused", "validation_failed",
            "earn_limit_reached"}  # fmt: skip

step = st.tuples(
    st.sampled_from(("deduct", "earn", "hold", "capture", "void", "pay", "return")),
    st.integers(0, 1),  # which of two wallets
    st.sampled_from((1, 10, 40, 90)),
    st.sampled_from((*KEYS, None)),
)
plan = st.lists(st.lists(step, min_size=1, max_size=6), min_size=1, max_size=5)
"""Batches one after the other; the steps of a batch at once."""


class Vendor:
    """Three payments a user, by the keys of the steps; what went back of each, in percent."""

    def __init__(self) -> None:
        self.returned: dict[tuple[str, str], int] = {}

    async def settle(self, settlement: SettlementService, user_id: str, key: str) -> None:
        async def look() -> Standing:
            back = self.returned.setdefault((user_id, key), 0)
            return Standing(f"pi_{key}_{user_id}", True, PAID, back, currency="usd", user_id=user_id, coins=str(PAID))

        await settlement.settle(f"stripe:pi_{key}_{user_id}", "stripe", look)


class Process:
    """One coin process: its own ledger on the shared database."""

    def __init__(self, database: Database, auth: FakeAuth, vendor: Vendor) -> None:
        self.vendor = vendor
        ledger = Ledger(LedgerStore(database), auth.client(), signup_bonus_coins=100)
        self.coins, self.holds = CoinService(ledger), HoldService(ledger)
        self.settlement = SettlementService(
            ledger, Promises(CheckoutStore(database), Prices(currency="usd", minor_units_per_coin=1))
        )
        self.earning = EarningService(
            ledger, {"ad_watch": EarnRule(max_amount=100, cooldown_seconds=0, daily_limit=150)}
        )

    async def take(self, user_id: str, kind: Kind, amount: int, key: str | None) -> Any:
        match kind:
            case "deduct":
                request = Request.of(user_id, key, f"deduct {amount}")
                return await self.coins.deduct(user_id, amount, reason=None, request=request)
            case "earn":
                request = Request.of(user_id, key, f"earn {amount}")
                return (await self.earning.earn(user_id, amount, source="ad_watch", request=request)).entry
            case "hold":
                return await self.holds.hold(user_id, amount, key=key or "k0")
            case "capture":
                return await self.holds.capture(user_id, amount, key=key or "k0", reference=None)
            case "void":
                return await self.holds.void(user_id, key=key or "k0")
            case "pay":
                return await self.vendor.settle(self.settlement, user_id, key or "k0")
            case "return":
                self.vendor.returned[user_id, key or "k0"] = amount
                return await self.vendor.settle(self.settlement, user_id, key or "k0")


def assert_sound(entries: list[Entry]) -> None:
    balance = held = earned = debt = 0
    holds: dict[str, int] = {}
    ends: defaultdict[str, list[str]] = defaultdict(list)
    for number, entry in enumerate(entries, start=1):
        assert entry.seq == number
        if entry.resolves is not None:
            ends[entry.resolves].append(entry.kind)
            whole = holds.pop(entry.resolves, 0)
            held -= whole
            balance += whole - (entry.amount if entry.kind == "capture" else 0)
        elif entry.kind == "hold":
            holds[entry.key] = entry.amount
            balance -= entry.amount
            held += entry.amount
        else:
            balance += entry.signed_amount
            earned += entry.amount if entry.type == "earn" else 0
        debt += entry.debt_change
        assert (entry.balance, entry.held, entry.debt) == (balance, held, debt)
        assert min(balance, held, debt) >= 0
    assert held == sum(holds.values())
    assert all(len(end) == 1 for end in ends.values())
    assert earned <= 150
    assert len({entry.key for entry in entries}) == len(entries)
    assert balance + held == sum(entry.signed_amount for entry in entries if entry.type is not None)


def assert_returned(entries: list[Entry], vendor: Vendor, user_id: str) -> None:
    """Of each payment the coins were given once, less what went back; what the wallet did not have is owed."""
    owed = 0
    for (owner, key), back in vendor.returned.items():
        if owner == user_id:
            payment_id = f"stripe:pi_{key}_{user_id}"
            first = [entry for entry in entries if entry.payment_id == payment_id]
            later = [entry for entry in entries if entry.adjusts == payment_id]
            assert [entry.bought for entry in first] == [PAID]
            moved = sum(entry.balance_change - entry.debt_change for entry in [*first, *later])
            assert moved == PAID - back
            assert [*first, *later][-1].taken_back in ((back, None) if back == 0 else (back,))
            owed += sum(entry.debt_change for entry in later)
    paid = sum(entry.amount for entry in entries if ":debt:" in entry.key)
    assert entries[-1].debt == owed - paid


def assert_told(steps: list[Step], outcomes: list[Any], wallets: list[list[Entry]]) -> None:
    """A caller that was told of a success finds it in the ledger once; all others know why."""
    for (kind, who, amount, key), outcome in zip(steps, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, ServiceError), repr(outcome)
            assert outcome.code in EXPECTED
            continue
        if kind == "deduct":
            assert isinstance(outcome, Moved)
            assert [entry.amount for entry in wallets[who] if entry.id == outcome.entry.id] == [amount]
        if kind == "capture":
            captured = [entry.amount for entry in wallets[who] if entry.key.endswith(f":capture:{key or 'k0'}")]
            assert captured == [amount]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plan)
def test_any_interleaving_leaves_the_wallets_sound(mongo_uri: str, database_name: str, plan: list[list[Step]]) -> None:
    asyncio.run(interleave(mongo_uri, database_name, plan))


async def interleave(mongo_uri: str, database_name: str, plan: list[list[Step]]) -> None:
    async with open_database(service_settings(Settings, mongo_uri, database_name)) as database:
        try:
            await LedgerStore(database).ensure_schema()
            auth = FakeAuth()
            users = [auth.add_account(f"user{n}@example.com").id for n in range(2)]
            vendor = Vendor()
            processes = [Process(database, auth, vendor) for _ in range(2)]
            steps: list[Step] = []
            outcomes: list[Any] = []
            for batch in plan:
                calls = [
                    processes[n % 2].take(users[who], kind, amount, key)
                    for n, (kind, who, amount, key) in enumerate(batch)
                ]
                outcomes += await asyncio.gather(*calls, return_exceptions=True)
                steps += batch
            for owner, key in vendor.returned:  # the news of the last change reaches somebody, some time
                await vendor.settle(processes[0].settlement, owner, key)
            wallets = []
            for user in users:
                await processes[1].coins.last(user)
                documents = await database["entries"].find({"user_id": user}).sort("seq", 1).to_list(1000)
                wallets.append([from_document(document) for document in documents])
                assert_sound(wallets[-1])
                assert_returned(wallets[-1], vendor, user)
                assert not wallets[-1][-1].pays_debt
            assert_told(steps, outcomes, wallets)
            faults: list[Fault] = []
            await Auditor(LedgerScan(database), faults.append).run()
            assert faults == []
        finally:
            await database.client.drop_database(database_name)

"""The audit in the running service: one process at a time, and every process shows what was found."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from coin_service.audit import schedule
from coin_service.audit.holds import OpenHoldScan
from coin_service.audit.schedule import AuditSchedule
from coin_service.holds import HoldService
from coin_service.ledger import Ledger
from common.clock import utc_now
from common.duties import DutyLostError, DutyStore
from common.logging import configure_logging
from common.mongo import Database, Int64, ObjectId


def figure(name: str) -> float | None:
    return REGISTRY.get_sample_value(name)


def new_schedule(database: Database, **changes: Any) -> AuditSchedule:
    values: dict[str, Any] = {"audit_interval_seconds": 3600, "hold_alarm_seconds": 900, **changes}
    return AuditSchedule(database, **values)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[dict[str, Any]]]:
    """Return the log lines of one event."""
    configure_logging("coin")

    def lines(event: str) -> list[dict[str, Any]]:
        said = [record.msg for record in caplog.records]
        return [line for line in said if isinstance(line, dict) and line["event"] == event]

    return lines


async def age(database: Database, seconds: float, **query: Any) -> None:
    """Make entries older than they are, their ids too."""
    entries = database["entries"]
    for entry in await entries.find(query).to_list(None):
        moment = entry["created_at"] - timedelta(seconds=seconds)
        await entries.delete_one({"_id": entry["_id"]})
        old_id = ObjectId(ObjectId.from_datetime(moment).binary[:4] + entry["_id"].binary[4:])
        await entries.insert_one(entry | {"_id": old_id, "created_at": moment})


async def test_duty_is_done_by_one_at_a_time(database: Database) -> None:
    duties = [DutyStore(database) for _ in range(8)]
    claimed = await asyncio.gather(*(store.claim("d", lease_seconds=60) for store in duties))
    [first] = [duty for duty in claimed if duty is not None]
    await duties[0].renew(first, lease_seconds=60)
    assert await duties[1].claim("d", lease_seconds=60) is None
    await duties[0].finish(first, {"found": 1}, again_seconds=-1)
    second = await duties[1].claim("d", lease_seconds=-1)
    assert second is not None
    assert (second.turn, second.result) == (2, {"found": 1})

    third = await duties[2].claim("d", lease_seconds=60)
    assert third is not None
    for late in (first, second):
        with pytest.raises(DutyLostError):
            await duties[0].finish(late, {}, again_seconds=60)
    with pytest.raises(DutyLostError):
        await duties[1].renew(second, lease_seconds=60)


async def test_audit_is_shown_by_every_process(
    ledger: Ledger, database: Database, ada: str, bob: str, logged: Callable[[str], list[dict[str, Any]]]
) -> None:
    await ledger.last(ada)
    await HoldService(ledger).hold(bob, 40, key="generation:1")
    await database["entries"].update_one(
        {"user_id": bob, "seq": 2}, {"$inc": {"held": Int64(1)}}, bypass_document_validation=True
    )
    one, other = new_schedule(database), new_schedule(database)
    await asyncio.gather(one.audit(), other.audit())
    await other.show()
    names = ("coin_audit_wallets", "coin_audit_entries", "coin_audit_faults", "coin_open_holds")
    assert [figure(name) for name in names] == [2, 3, 3, 1]
    assert abs((figure("coin_audit_finished_timestamp_seconds") or 0) - utc_now().timestamp()) < 60
    lines = logged("audit found a fault")
    assert {(line["user_id"], line["seq"], line["level"]) for line in lines} == {(bob, 2, "error")}
    assert [line["rule"] for line in lines] == ["held", "sum", "sum"]


async def test_audit_is_done_again_when_due(ledger: Ledger, database: Database, ada: str, bob: str) -> None:
    await ledger.last(ada)
    patient, hasty = new_schedule(database), new_schedule(database, audit_interval_seconds=-1)
    await hasty.audit()
    await ledger.last(bob)
    await patient.audit()
    await patient.show()
    assert figure("coin_audit_wallets") == 2
    await database["entries"].delete_many({"user_id": bob})
    await patient.audit()
    await patient.show()
    assert figure("coin_audit_wallets") == 2, "an hour has not passed"


async def test_overdue_holds_are_an_alarm_until_they_end(
    ledger: Ledger, database: Database, ada: str, logged: Callable[[str], list[dict[str, Any]]]
) -> None:
    holds, watch = HoldService(ledger), new_schedule(database, holds_interval_seconds=-1)
    for name in ("old", "older", "young"):
        await holds.hold(ada, 10, key=f"generation:{name}")
    await age(database, 1000, key=f"{ada}:hold:generation:old")
    await age(database, 5000, key=f"{ada}:hold:generation:older")

    await watch.watch_holds()
    await watch.show()
    assert figure("coin_overdue_holds") == 2
    assert 4990 < (figure("coin_oldest_overdue_hold_age_seconds") or 0) < 5060
    [line] = logged("holds are overdue")
    assert (line["level"], line["holds"], line["coins"]) == ("error", 2, 20)
    assert (line["user_id"], line["key"]) == (ada, "generation:older")

    await holds.capture(ada, 10, key="generation:older", reference=None)
    await watch.watch_holds()
    await watch.show()
    assert figure("coin_overdue_holds") == 1
    await holds.void(ada, key="generation:old")
    await watch.watch_holds()
    await watch.show()
    assert (figure("coin_overdue_holds"), figure("coin_oldest_overdue_hold_age_seconds")) == (0, 0)
    assert (await ledger.last(ada)).held == 10, "no hold ends by its age"


async def test_a_hold_becomes_overdue_between_two_looks(ledger: Ledger, database: Database, ada: str) -> None:
    watch = new_schedule(database, holds_interval_seconds=-1, hold_alarm_seconds=0.3)
    await watch.watch_holds()
    await HoldService(ledger).hold(ada, 10, key="generation:1")
    deadline = asyncio.get_running_loop().time() + 10
    while figure("coin_overdue_holds") != 1:
        await watch.watch_holds()
        await watch.show()
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def test_more_holds_than_can_be_watched_are_looked_at_later(
    ledger: Ledger, database: Database, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "WATCHED_HOLDS", 3)
    holds, watch = HoldService(ledger), new_schedule(database, holds_interval_seconds=-1, hold_alarm_seconds=0)
    for number in range(5):
        await holds.hold(ada, 1, key=f"generation:{number}")
    await age(database, 10, kind="hold")
    for number in range(5):
        await watch.watch_holds()
        await watch.show()
        assert figure("coin_overdue_holds") == min(3, 5 - number)
        await holds.void(ada, key=f"generation:{number}")


async def test_open_holds_of_a_stretch_of_time(ledger: Ledger, database: Database, ada: str) -> None:
    holds, scan = HoldService(ledger), OpenHoldScan(database)
    for number in range(4):
        await holds.hold(ada, 1 + number, key=f"generation:{number}")
        await age(database, 1000 * (4 - number), key=f"{ada}:hold:generation:{number}")
    await holds.void(ada, key="generation:1")
    now = utc_now()

    async def names(since: float | None, until: float) -> list[str]:
        start = None if since is None else now - timedelta(seconds=since)
        return [hold.name[-1] async for hold in scan.find(start, now - timedelta(seconds=until))]

    assert await names(None, 0) == ["0", "2", "3"]
    assert await names(2500, 1500) == ["2"]
    assert await names(900, 0) == []


async def test_the_work_goes_on_after_a_failure(ledger: Ledger, database: Database, ada: str) -> None:
    await ledger.last(ada)
    # The first look at the holds stumbles over what an older version might have left.
    await database["duties"].insert_one({"_id": "holds", "due_at": utc_now(), "turn": 1, "result": {"open": [{}]}})
    task = asyncio.create_task(new_schedule(database, poll_seconds=0.01).run())
    try:
        deadline = asyncio.get_running_loop().time() + 10
        while not await database["duties"].find_one({"_id": "audit", "result.wallets": 1}):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

"""Audits in the running service: by one of the processes, at a part of its strength."""

import asyncio
import random
from dataclasses import asdict
from datetime import timedelta

from coin_service.audit import metrics
from coin_service.audit.auditor import Auditor
from coin_service.audit.holds import SLACK, OpenHoldScan
from coin_service.audit.report import Fault, OpenHold, Report
from coin_service.audit.scan import LedgerScan
from common.clock import utc_now
from common.duties import Duty, DutyLostError, DutyStore
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE, Database, Document

logger = get_logger(__name__)

POLL_SECONDS = 10.0
LEASE_SECONDS = 60.0
AUDIT_SHARE = 0.2
"""Of one processor: requests come first."""

LOGGED_FAULTS = 100
"""So many faults of one audit are logged; the command tells all."""

HOLDS_INTERVAL_SECONDS = 60.0
WATCHED_HOLDS = 1000
"""So many overdue holds are kept in mind; with more of them, later ones wait to be looked at."""


class AuditSchedule:
    """Two duties: the audit of everything, and a look at holds that nobody ended.

    Args:
        database: The service's own.
        audit_interval_seconds: From the end of one audit to the next.
        hold_alarm_seconds: Age at which an open hold is an alarm. It never ends by itself: that would race its owner.
        poll_seconds: How often a process asks what is due.
        holds_interval_seconds: From one look at the holds to the next.
    """

    def __init__(
        self,
        database: Database,
        *,
        audit_interval_seconds: float,
        hold_alarm_seconds: float,
        poll_seconds: float = POLL_SECONDS,
        holds_interval_seconds: float = HOLDS_INTERVAL_SECONDS,
    ) -> None:
        self._duties = DutyStore(database)
        self._ledger = LedgerScan(database)
        self._holds = OpenHoldScan(database)
        self._audit_interval_seconds = audit_interval_seconds
        self._hold_alarm = timedelta(seconds=hold_alarm_seconds)
        self._poll_seconds = poll_seconds
        self._holds_interval_seconds = holds_interval_seconds

    async def run(self) -> None:
        """Do what is due and show what was found, until cancelled."""
        while True:
            for step in (self.watch_holds, self.audit, self.show):
                try:
                    await step()
                except DutyLostError:
                    logger.warning("duty was taken over", work=step.__name__)
                except DATABASE_UNAVAILABLE as error:
                    logger.warning("audit waits for the database", work=step.__name__, error=type(error).__name__)
                except Exception:
                    logger.exception("audit failed", work=step.__name__)
            await asyncio.sleep(self._poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - parts the processes

    async def audit(self) -> None:
        """Audit everything if it is due."""
        duty = await self._duties.claim("audit", lease_seconds=LEASE_SECONDS)
        if duty is None:
            return
        keeper = _Keeper(self._duties, duty)
        told = 0

        def tell(fault: Fault) -> None:
            nonlocal told
            told += 1
            if told <= LOGGED_FAULTS:
                logger.error("audit found a fault", **asdict(fault))

        report = await Auditor(self._ledger, tell, share=AUDIT_SHARE, on_batch=keeper.keep).run()
        counted = {
            name: getattr(report, name)
            for name in ("wallets", "entries", "faults", "coins", "open_holds", "held_coins")
        }
        (logger.error if report.faults else logger.info)("audit finished", **counted)
        await self._duties.finish(duty, counted, again_seconds=self._audit_interval_seconds)

    async def watch_holds(self) -> None:
        """Tell which holds are overdue; each entry is looked at once, and the overdue ones until they are ended."""
        duty = await self._duties.claim("holds", lease_seconds=LEASE_SECONDS)
        if duty is None:
            return
        keeper = _Keeper(self._duties, duty)
        known = [OpenHold(**hold) for hold in duty.result.get("open", [])]
        ended = await self._holds.ended([hold.key for hold in known])
        overdue = [hold for hold in known if hold.key not in ended]
        until = utc_now() - self._hold_alarm
        seen = {hold.key for hold in overdue}
        async for hold in self._holds.find(duty.result.get("until"), until):
            if len(overdue) >= WATCHED_HOLDS:
                until = hold.created_at - SLACK
                break
            if hold.key not in seen:
                overdue.append(hold)
            await keeper.keep()
        if overdue:
            oldest = min(overdue, key=lambda hold: hold.created_at)
            logger.error(
                "holds are overdue",
                holds=len(overdue),
                coins=sum(hold.coins for hold in overdue),
                user_id=oldest.user_id,
                key=oldest.name,
                age_seconds=oldest.age_seconds(utc_now()),
            )
        result: Document = {"until": until, "open": [asdict(hold) for hold in overdue]}
        await self._duties.finish(duty, result, again_seconds=self._holds_interval_seconds)

    async def show(self) -> None:
        """Set this process's figures to what the last turns found, here or elsewhere."""
        if (audit := await self._duties.find("audit")) and "result" in audit:
            found = audit["result"]
            metrics.WALLETS.set(found["wallets"])
            metrics.ENTRIES.set(found["entries"])
            metrics.FAULTS.set(found["faults"])
            metrics.OPEN_HOLDS.set(found["open_holds"])
            metrics.FINISHED.set(audit["finished_at"].timestamp())
        if (holds := await self._duties.find("holds")) and "result" in holds:
            overdue = holds["result"]["open"]
            metrics.OVERDUE_HOLDS.set(len(overdue))
            metrics.show_oldest_hold(min((hold["created_at"] for hold in overdue), default=None))


class _Keeper:
    """Renews a lease when half of it is over."""

    def __init__(self, duties: DutyStore, duty: Duty) -> None:
        self._duties = duties
        self._duty = duty
        self._renewed = asyncio.get_running_loop().time()

    async def keep(self, _: Report | None = None) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._renewed > LEASE_SECONDS / 2:
            await self._duties.renew(self._duty, lease_seconds=LEASE_SECONDS)
            self._renewed = now

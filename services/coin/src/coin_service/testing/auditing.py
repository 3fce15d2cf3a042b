"""A ledger to be audited: entries as they come, and what the audit says of them."""

from dataclasses import dataclass
from typing import Any

from coin_service.audit.auditor import Auditor
from coin_service.audit.report import Fault, Report
from coin_service.audit.scan import LedgerScan
from coin_service.ledger import Ledger
from coin_service.models import Draft, Entry
from common.mongo import Database


@dataclass
class Audited:
    """What one audit found."""

    report: Report
    faults: list[Fault]

    @property
    def places(self) -> list[tuple[str, int | None]]:
        """Rule and entry of each fault."""
        return [(fault.rule, fault.seq) for fault in self.faults]


async def audit(database: Database) -> Audited:
    faults: list[Fault] = []
    report = await Auditor(LedgerScan(database), faults.append).run()
    assert report.faults == len(faults)
    return Audited(report, faults)


async def append(ledger: Ledger, user_id: str, draft: Draft) -> Entry:
    """Add an entry, whatever it says."""

    async def find_done() -> None:
        return None

    return (await ledger.move(user_id, lambda _: draft, find_done)).entry


async def credit(ledger: Ledger, user_id: str, payment_id: str, **changes: Any) -> Entry:
    """Credit 100 coins of a payment at Stripe."""
    draft = Draft(
        kind="credit",
        type="buy",
        key=f"{user_id}:request:{payment_id}",
        amount=100,
        payment_method="stripe",
        payment_id=payment_id,
    ).model_copy(update=changes)
    return await append(ledger, user_id, draft)

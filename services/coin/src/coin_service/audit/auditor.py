"""The audit of the whole ledger."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from coin_service.audit.chain import Chain
from coin_service.audit.documents import bought_by, coins
from coin_service.audit.report import Fault, Report
from coin_service.audit.scan import UNIQUE_INDEXES, LedgerScan
from common.mongo import Document


class Auditor:
    """Goes through all entries once, in constant memory.

    Args:
        scan: The ledger.
        tell: Given each fault as it is found.
        share: The part of one processor it may take; below 1 it pauses between batches, so that a process that serves
            requests goes on doing so.
        on_batch: Awaited after every batch, with how far it came; what it raises ends the audit.
    """

    def __init__(
        self,
        scan: LedgerScan,
        tell: Callable[[Fault], None],
        *,
        share: float = 1.0,
        on_batch: Callable[[Report], Awaitable[None]] | None = None,
    ) -> None:
        self._scan = scan
        self._tell_outside = tell
        self._share = share
        self._on_batch = on_batch
        self._report = Report()
        self._chain: Chain | None = None

    async def run(self) -> Report:
        """Check every entry and every payment; faults are told and counted."""
        missing = await self._scan.missing_indexes()
        await self._check_unique(missing)
        async for batch in self._scan.batches(is_indexed="wallet" not in missing):
            began = time.perf_counter()
            for entry in batch:
                self._add(entry)
            self._report.entries += len(batch)
            worked = time.perf_counter() - began
            await self._check_payments(batch)
            await self._check_checkouts(batch)
            await self._check_clawbacks(batch)
            await self._check_refunds(batch)
            if self._on_batch is not None:
                await self._on_batch(self._report)
            await asyncio.sleep(worked * (1 / self._share - 1))
        self._end_chain()
        async for payment_id in self._scan.uncredited_payments():
            self._tell(Fault("payment", f"{payment_id} was consumed, and no entry credits it"))
        async for payment_id in self._scan.uncredited_checkouts():
            self._tell(Fault("payment", f"the checkout of {payment_id} was credited, and no entry credits it"))
        self._report.order_holds()
        return self._report

    def _add(self, entry: Document) -> None:
        user_id = str(entry.get("user_id"))
        if self._chain is None or self._chain.user_id != user_id:
            self._end_chain()
            self._chain = Chain(user_id, self._tell)
        self._chain.add(entry)

    def _end_chain(self) -> None:
        if self._chain is None:
            return
        self._chain.end()
        self._report.wallets += 1
        self._report.coins += self._chain.balance + self._chain.held
        self._report.debt += self._chain.debt
        for hold in self._chain.open_holds.values():
            self._report.add_hold(hold)
        self._chain = None

    async def _check_unique(self, missing: list[str]) -> None:
        """Where the database does not keep a rule itself, look for what broke it; what is numbered is counted."""
        for name in missing:
            fields = UNIQUE_INDEXES[name]
            self._tell(Fault("index", f"the unique index {name!r} on {', '.join(fields)} is missing"))
            if len(fields) > 1:
                continue
            async for entry in self._scan.duplicates(fields[0]):
                self._tell_of(entry, "unique", f"{fields[0]} {entry[fields[0]]!r} stands in another entry too")

    async def _check_payments(self, batch: list[Document]) -> None:
        """A Play purchase is noted before its coins are credited, or no crash could be sure to consume it."""
        bought = {
            str(entry["payment_id"]): entry
            for entry in batch
            if entry.get("kind") == "credit"
            and entry.get("payment_method") == "google_play"
            and entry.get("payment_id")
        }
        if bought:
            for payment_id in await self._scan.unknown_payments(list(bought)):
                self._tell_of(
                    bought[payment_id], "payment", f"{payment_id} was credited, and payments does not know it"
                )

    async def _check_checkouts(self, batch: list[Document]) -> None:
        """What was ordered was credited: to who ordered it, and as many coins."""
        paid = {
            str(entry["transaction_id"]): entry
            for entry in batch
            if entry.get("payment_method") == "stripe" and entry.get("payment_id") and entry.get("transaction_id")
        }
        if not paid:
            return
        for transaction_id, checkout in (await self._scan.checkouts(list(paid))).items():
            entry = paid[transaction_id]
            ordered = (checkout.get("user_id"), checkout.get("coins"))
            if ordered != (entry.get("user_id"), bought_by(entry)):
                self._tell_of(entry, "payment", f"{transaction_id} was ordered by {ordered[0]}, for {ordered[1]} coins")

    async def _check_clawbacks(self, batch: list[Document]) -> None:
        """What is taken back was bought, by the same user and for as many coins."""
        adjusting = [entry for entry in batch if entry.get("adjusts") is not None]
        if not adjusting:
            return
        first_entries = await self._scan.first_entries([entry["adjusts"] for entry in adjusting])
        for entry in adjusting:
            payment_id, first = entry["adjusts"], first_entries.get(entry["adjusts"])
            if first is None or first.get("user_id") != entry.get("user_id"):
                self._tell_of(entry, "clawback", f"{payment_id} was never credited to this wallet")
                continue
            bought = bought_by(first)
            if coins(entry, "taken_back") > bought:
                self._tell_of(entry, "clawback", f"more is taken back of {payment_id} than the {bought} coins bought")

    async def _check_refunds(self, batch: list[Document]) -> None:
        """What is given back was captured, from the same user, and no more than that."""
        refunds = [entry for entry in batch if entry.get("refunds") is not None]
        if not refunds:
            return
        captures = await self._scan.captures([entry["refunds"] for entry in refunds])
        for entry in refunds:
            name, capture = entry["refunds"], captures.get(entry["refunds"], {})
            if capture.get("kind") != "capture" or capture.get("user_id") != entry.get("user_id"):
                self._tell_of(entry, "refund", f"nothing was captured of {name!r} in this wallet")
            elif coins(entry, "refunded") > coins(capture, "amount"):
                self._tell_of(entry, "refund", f"more is given back of {name!r} than the {capture['amount']} captured")

    def _tell_of(self, entry: Document, rule: str, message: str) -> None:
        self._tell(Fault(rule, message, entry.get("user_id"), entry.get("seq"), str(entry["_id"])))

    def _tell(self, fault: Fault) -> None:
        self._report.faults += 1
        self._tell_outside(fault)

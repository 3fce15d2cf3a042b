"""``audit``: prove that every wallet adds up."""

import typer

from coin_service.audit.auditor import Auditor
from coin_service.audit.report import Report
from coin_service.audit.scan import LedgerScan
from coin_service.commands.opening import FAILED, open_database_only, run
from common.clock import utc_now


def audit() -> None:
    """Add up every wallet from its first entry; name each entry that is wrong; list open holds, the oldest first.

    Only reads, in constant memory. Exit code 0: all is sound; 1: it is not; 69: MongoDB does not answer.
    """
    report = run(_audit())
    typer.echo(
        f"{report.wallets} wallets, {report.entries} entries, {report.coins} coins, {report.debt} coins of debt, "
        f"{report.held_coins} coins in {report.open_holds} open holds"
    )
    now = utc_now()
    for hold in report.oldest_holds:
        typer.echo(f"open for {hold.age_seconds(now):.0f} s: {hold}")
    if report.open_holds > len(report.oldest_holds):
        typer.echo(f"and {report.open_holds - len(report.oldest_holds)} younger ones")
    if report.faults:
        typer.echo(f"{report.faults} FAULTS; a wallet is mended by a further entry, see adjust and holds resolve")
        raise typer.Exit(FAILED)
    typer.echo("sound")


async def _audit() -> Report:
    async with open_database_only() as database:
        return await Auditor(LedgerScan(database), typer.echo).run()

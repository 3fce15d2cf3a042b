"""``holds``: coins set aside that nobody has taken or given back."""

from datetime import timedelta
from typing import Annotated

import typer

from coin_service.audit.holds import OpenHoldScan
from coin_service.audit.report import OpenHold
from coin_service.commands.opening import FAILED, Tools, fail, open_database_only, open_tools, run
from coin_service.holds import HoldService, hold_key
from coin_service.resolution import HoldResolver
from common.clock import utc_now
from common.mongo import Database

app = typer.Typer(no_args_is_help=True, help="Open holds: list them, end them as the image service decided.")

Minutes = Annotated[float, typer.Option(min=0, help="Only holds at least this old")]


@app.command(name="list")
def list_holds(older_than: Minutes = 0) -> None:
    """List open holds, the oldest first."""

    async def work() -> int:
        now, count = utc_now(), 0
        async with open_database_only() as database:
            async for hold in OpenHoldScan(database).find(None, now - timedelta(minutes=older_than)):
                typer.echo(f"open for {hold.age_seconds(now):.0f} s: {hold}")
                count += 1
        return count

    typer.echo(f"{run(work())} open holds")


@app.command()
def resolve(
    context: typer.Context,
    user_id: Annotated[str | None, typer.Argument(help="Whose hold; without it all that are old enough")] = None,
    key: Annotated[str | None, typer.Argument(help="The hold's key, such as generation:65f0…")] = None,
    older_than: Minutes = 15,
) -> None:
    """Capture or give back as the image service decided; what it does not know or has not decided is left open.

    Exit code 0: none of them is open any more; 1: some are.
    """
    if (user_id is None) != (key is None):
        fail("name USER_ID and KEY, or neither")

    async def work() -> int:
        left = 0
        async with open_tools(context) as tools:
            resolver = HoldResolver(HoldService(tools.ledger), tools.images)
            for hold in await _chosen(tools, user_id, key, older_than):
                resolution = await resolver.resolve(hold)
                typer.echo(f"{hold}: {resolution.text}")
                left += not resolution.ended
        return left

    if left := run(work()):
        typer.echo(f"{left} left open")
        raise typer.Exit(FAILED)
    typer.echo("none left open")


async def _chosen(tools: Tools, user_id: str | None, key: str | None, older_than: float) -> list[OpenHold]:
    if user_id is None or key is None:
        return await _older_than(tools.database, older_than)
    hold, end = await tools.ledger.store.find_hold(hold_key(user_id, key))
    if hold is None or hold.kind != "hold":
        fail(f"wallet {user_id} has no hold {key}")
    if end is not None:
        fail(f"this hold was ended by entry {end.seq}, a {end.kind} of {end.amount} coins", code=0)
    return [OpenHold(user_id, hold.key, hold.amount, hold.created_at, hold.seq)]


async def _older_than(database: Database, minutes: float) -> list[OpenHold]:
    until = utc_now() - timedelta(minutes=minutes)
    return [hold async for hold in OpenHoldScan(database).find(None, until)]

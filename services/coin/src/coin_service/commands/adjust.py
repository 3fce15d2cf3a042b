"""``adjust``: give and take coins."""

from typing import Annotated

import typer

from coin_service.adjustments import AdjustmentService
from coin_service.commands.opening import fail, open_tools, run
from coin_service.ledger import Moved
from coin_service.schemas import MAX_REASON_CHARACTERS
from common.mongo import new_id
from common.schemas import MAX_COINS, is_object_id


def adjust(
    context: typer.Context,
    user_id: Annotated[str, typer.Argument(help="24 hex digits")],
    coins: Annotated[int, typer.Argument(help="What the balance gains; negative takes, such as -50")],
    reason: Annotated[str, typer.Option(help="Shown to the user in the statement")],
    actor: Annotated[str, typer.Option(help="Who does this; kept, not shown")],
    key: Annotated[str | None, typer.Option(help="Names this adjustment: repeated under it, it is done once")] = None,
    into_debt: Annotated[bool, typer.Option(help="Take from coins to come what the balance does not have")] = False,
) -> None:
    """Grant coins, or take them: one further entry of type grant or clawback, with its reason and actor."""
    if not is_object_id(user_id):
        fail("USER_ID must be 24 hex digits in lower case")
    if not 1 <= abs(coins) <= MAX_COINS:
        fail(f"COINS must be 1 to {MAX_COINS}, or as many negative")
    reason, actor, key = reason.strip(), actor.strip(), key or new_id()
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS or not 1 <= len(actor) <= MAX_REASON_CHARACTERS:
        fail(f"--reason and --actor must have 1 to {MAX_REASON_CHARACTERS} characters")

    async def work() -> Moved:
        async with open_tools(context) as tools:
            service = AdjustmentService(tools.ledger)
            return await service.adjust(user_id, coins, reason=reason, actor=actor, key=key, into_debt=into_debt)

    typer.echo(f"key {key}", err=True)  # before anything moves: whoever must repeat this needs it
    moved = run(work())
    entry = moved.entry
    typer.echo(
        f"{'was done before' if moved.replayed else 'done'}: wallet {user_id} entry {entry.seq} id {entry.id}: "
        f"{entry.type or 'clawback'} {entry.signed_amount:+d}, balance {entry.balance}, debt {entry.debt}"
    )

"""``inbox``: what vendors told us of money."""

import json
from typing import Annotated

import typer

from coin_service.commands.opening import fail, open_database_only, run
from coin_service.inbox import InboxStore, Message, State
from common.clock import format_timestamp

app = typer.Typer(no_args_is_help=True, help="Messages of Stripe, Google Play and AdMob.")

MessageId = Annotated[str, typer.Argument(help="As listed, such as stripe:evt_1")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest")]


@app.command(name="list")
def list_messages(state: Annotated[State | None, typer.Option(help="Only these")] = None, limit: Limit = 50) -> None:
    """List messages, the newest first."""
    _list(state, limit)


@app.command()
def dead(limit: Limit = 50) -> None:
    """List the messages that were given up."""
    _list("dead", limit)


@app.command()
def show(message_id: MessageId) -> None:
    """Show a message with its body."""

    async def work() -> Message | None:
        async with open_database_only() as database:
            return await InboxStore(database).find(message_id)

    message = run(work())
    if message is None:
        fail(f"there is no message {message_id}")
    typer.echo(_line(message))
    typer.echo(json.dumps(message.content, indent=2, ensure_ascii=False))


@app.command()
def replay(message_ids: Annotated[list[str], typer.Argument(help="As listed, such as stripe:evt_1")]) -> None:
    """Have messages worked off again, whatever became of them; the running service takes them up within seconds."""

    async def work() -> list[str]:
        async with open_database_only() as database:
            store = InboxStore(database)
            return [message_id for message_id in message_ids if not await store.replay(message_id)]

    if unknown := run(work()):
        fail(f"there is no message {', '.join(unknown)}")
    typer.echo(f"{len(message_ids)} due again")


def _list(state: State | None, limit: int) -> None:
    async def work() -> list[Message]:
        async with open_database_only() as database:
            return await InboxStore(database).list_messages(state, limit=limit)

    messages = run(work())
    for message in messages:
        typer.echo(_line(message))
    typer.echo(f"{len(messages)} messages")


def _line(message: Message) -> str:
    due = "" if message.next_at is None else f", due {format_timestamp(message.next_at)}"
    error = "" if message.error is None else f", {message.error}"
    received = format_timestamp(message.received_at)
    return f"{message.id}  {message.type}  {message.state}{error}, {message.attempts} attempts, {received}{due}"

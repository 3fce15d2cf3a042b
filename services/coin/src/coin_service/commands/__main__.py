"""``python -m coin_service.commands``."""

from typing import Any

import typer

from coin_service.commands import holds, inbox
from coin_service.commands.adjust import adjust
from coin_service.commands.audit import audit

# Plain text, and no locals in tracebacks: they hold secrets.
options: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None, "add_completion": False}

app = typer.Typer(no_args_is_help=True, help="Look after the coin service; in its own environment.", **options)
app.command()(audit)
# So that -50 is a number of coins and not an option.
app.command(context_settings={"ignore_unknown_options": True})(adjust)
app.add_typer(holds.app, name="holds")
app.add_typer(inbox.app, name="inbox")

if __name__ == "__main__":
    app(prog_name="python -m coin_service.commands")

"""``python -m image_service.commands``."""

from typing import Any

import typer

from image_service.commands import reports

# Plain text, and no locals in tracebacks: they hold secrets.
options: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None, "add_completion": False}

app = typer.Typer(no_args_is_help=True, help="Look after the image service; in its own environment.", **options)


@app.callback()
def main() -> None:
    """Look after the image service; in its own environment."""


app.add_typer(reports.app, name="reports")

if __name__ == "__main__":
    app(prog_name="python -m image_service.commands")

"""``reports``: what users reported, and what came of it."""

from pathlib import Path
from typing import Annotated

import typer

from common.clock import format_timestamp
from image_service.commands.opening import fail, open_reports, run
from image_service.reported import Report, ReportStatus

MAX_CHARACTERS = 1000

app = typer.Typer(no_args_is_help=True, help="Pictures that users reported: list them, look at them, end the review.")

ReportId = Annotated[str, typer.Argument(help="As listed, 24 hex digits")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest")]


@app.command(name="list")
def list_reports(
    status: Annotated[ReportStatus | None, typer.Option(help="Only these")] = None, limit: Limit = 50
) -> None:
    """List reports, the newest first."""

    async def work() -> list[Report]:
        async with open_reports() as reports:
            return await reports.list_reports(status, limit=limit)

    found = run(work())
    for report in found:
        typer.echo(_line(report))
    typer.echo(f"{len(found)} reports")


@app.command()
def show(
    report_id: ReportId,
    picture: Annotated[Path | None, typer.Option(help="Write the picture under review to this new file")] = None,
) -> None:
    """Show a report with the picture's data as they were when it was reported."""

    async def work() -> tuple[Report, bytes | None]:
        async with open_reports() as reports:
            report = await reports.get(report_id.lower())
            return report, None if picture is None else await reports.picture(report)

    report, content = run(work())
    typer.echo(_line(report))
    typer.echo(report.model_dump_json(indent=2))
    if picture is not None and content is not None:
        try:
            with picture.open("xb") as file:
                file.write(content)
        except OSError as error:
            fail(f"{picture}: {error.strerror}")
        typer.echo(f"{len(content)} bytes written to {picture}", err=True)


@app.command()
def close(
    report_id: ReportId,
    decision: Annotated[str, typer.Option(help="What was found, and done; kept")],
    actor: Annotated[str, typer.Option(help="Who decided this; kept")],
) -> None:
    """End a review; the copy of the picture is removed, the report with its data stays.

    A closed report is not changed; if its copy could not be removed, closing it again removes it.
    """
    decision, actor = decision.strip(), actor.strip()
    if not 1 <= len(decision) <= MAX_CHARACTERS or not 1 <= len(actor) <= MAX_CHARACTERS:
        fail(f"--decision and --actor must have 1 to {MAX_CHARACTERS} characters")

    async def work() -> Report:
        async with open_reports() as reports:
            return await reports.close(report_id.lower(), decision=decision, actor=actor)

    report = run(work())
    typer.echo(f"{_line(report)}: {report.decision} ({report.actor})")


def _line(report: Report) -> str:
    return (
        f"{report.id} {format_timestamp(report.created_at)} {report.status} image {report.image_id} "
        f"user {report.user_id}: {report.reason}"
    )

"""Operators' commands on reports, each as a whole: arguments in, lines and an exit code out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from common.mongo import Database, new_id
from common.testing import TEST_SECRETS
from image_service.commands.__main__ import app
from image_service.reported import Report
from image_service.reports import ReportService
from image_service.storage import new_file
from image_service.storage.local import LocalStorage
from image_service.store.images import ImageStore
from image_service.store.reports import ReportStore
from image_service.testing import draw_png, some_image

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(mongo_uri: str, database_name: str, uploads: Path) -> Command:
    """Run a command in a thread of its own, as it makes an event loop of its own."""
    secrets = {name.upper(): secret.get_secret_value() for name, secret in TEST_SECRETS.items()}
    environment = {
        "MONGO_URI": mongo_uri, "MONGO_DATABASE": database_name, "STABILITY_API_KEY": "sk-test",
        "UPLOADS_DIR": str(uploads), **secrets,
    }  # fmt: skip

    async def run(*arguments: object) -> Result:
        words = [str(argument) for argument in arguments]
        result = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


@pytest_asyncio.fixture
async def report(database: Database, uploads: Path, user_id: str) -> Report:
    storage, images = LocalStorage(uploads, public_url="http://localhost:5000"), ImageStore(database)
    await storage.prepare()
    image = some_image(user_id, file=new_file(new_id()))
    await storage.put(image.file, draw_png(8, 8))
    await images.add_all([image])
    service = ReportService(ReportStore(database), images, storage, reports_a_day=10)
    return await service.report(user_id, image.id, reason="violent", note="look")


def line_of(report: Report, status: str) -> str:
    moment = report.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{report.id} {moment} {status} image {report.image_id} user {report.user_id}: violent"


async def test_list(command: Command, report: Report) -> None:
    for arguments in ((), ("--status", "received"), ("--limit", "1")):
        result = await command("reports", "list", *arguments)
        assert (result.exit_code, result.stdout.splitlines()) == (0, [line_of(report, "received"), "1 reports"])
    assert (await command("reports", "list", "--status", "closed")).stdout == "0 reports\n"
    assert (await command("reports", "list", "--status", "lost")).exit_code == 2


async def test_show(command: Command, report: Report, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    result = await command("reports", "show", report.id.upper(), "--picture", picture)
    assert result.exit_code == 0
    first, _, shown = result.stdout.partition("\n")
    assert first == line_of(report, "received")
    assert Report.model_validate_json(shown) == report
    assert picture.read_bytes() == draw_png(8, 8)
    assert (await command("reports", "show", report.id, "--picture", picture)).exit_code == 1
    unknown = await command("reports", "show", "0" * 24)
    assert (unknown.exit_code, unknown.stderr) == (1, "report_not_found: This report does not exist.\n")


async def test_close(command: Command, report: Report, database: Database, uploads: Path) -> None:
    assert report.file is not None
    assert (uploads / report.file).exists()
    (uploads / report.original).unlink()
    result = await command("reports", "close", report.id, "--decision", "harmless", "--actor", "eve")
    assert (result.exit_code, result.stdout) == (0, f"{line_of(report, 'closed')}: harmless (eve)\n")
    assert not (uploads / report.file).exists()
    again = await command("reports", "close", report.id, "--decision", "terrible", "--actor", "bob")
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    gone = await command("reports", "show", report.id, "--picture", uploads / "x")
    assert (gone.exit_code, gone.stderr.partition(":")[0]) == (1, "storage_unavailable")
    for decision in ("", "x" * 1001):
        assert (await command("reports", "close", report.id, "--decision", decision, "--actor", "e")).exit_code == 1


async def test_a_copy_that_cannot_be_removed(command: Command, report: Report, uploads: Path) -> None:
    assert report.file is not None
    copy = uploads / report.file
    copy.unlink()
    copy.mkdir()  # which cannot be unlinked
    arguments = ("reports", "close", report.id, "--decision", "harmless", "--actor", "eve")
    failed = await command(*arguments)
    assert (failed.exit_code, failed.stderr.splitlines()[-1].partition(":")[0]) == (1, "storage_unavailable")
    copy.rmdir()
    assert (await command(*arguments)).exit_code == 0

"""The one clock of the mesh."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time now, aware and cut to the milliseconds that MongoDB keeps.

    Without the cut a value read back would differ from the one written.
    """
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def format_timestamp(moment: datetime) -> str:
    """Format an aware time as the wire has it: ``2025-07-01T14:30:00.000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

"""What Prometheus is told; every process shows what the last turn found, whichever of them it was."""

from datetime import datetime

from prometheus_client import Gauge

from common.clock import utc_now

WALLETS = Gauge("coin_audit_wallets", "Wallets at the last audit")
ENTRIES = Gauge("coin_audit_entries", "Entries at the last audit")
FAULTS = Gauge("coin_audit_faults", "Faults found by the last audit; anything but 0 is an alarm")
FINISHED = Gauge("coin_audit_finished_timestamp_seconds", "When the last audit ended")
OPEN_HOLDS = Gauge("coin_open_holds", "Holds neither captured nor given back at the last audit")
OVERDUE_HOLDS = Gauge("coin_overdue_holds", "Holds open for longer than HOLD_ALARM_SECONDS; anything but 0 is an alarm")
OLDEST_HOLD = Gauge("coin_oldest_overdue_hold_age_seconds", "Age of the oldest of them, 0 without any")


def show_oldest_hold(created_at: datetime | None) -> None:
    """Let the age grow until it is told otherwise."""

    def age() -> float:
        return 0.0 if created_at is None else (utc_now() - created_at).total_seconds()

    OLDEST_HOLD.set_function(age)

"""The auth service's environment."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from common.settings import ServiceSettings

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "": 1}
_MAX_SECONDS = 3_650 * _SECONDS["d"]

MINIMUM_PRODUCTION_ROUNDS = 10
"""OWASP's password storage cheat sheet asks bcrypt for at least this."""


def parse_duration(value: object) -> int:
    """Return the seconds of ``30d``, ``12h``, ``15m`` or ``3600``."""
    match = re.fullmatch(r"([0-9]{1,9})([dhm]?)", str(value).strip())
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError("must be a time such as 30d, 12h, 15m or 3600 (seconds), ten years at most")
    return seconds


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Seconds; written as ``30d``, ``12h``, ``15m`` or a bare number."""


class Settings(ServiceSettings):
    """What the auth service reads."""

    service_name: str = "auth"
    port: int = Field(default=5001, ge=0, le=65535)

    jwt_expire: Duration = 30 * _SECONDS["d"]
    """Life of an access token."""

    refresh_expire: Duration = 90 * _SECONDS["d"]
    """Life of a session since its last refresh."""

    bcrypt_rounds: int = Field(default=12, ge=4, le=15)
    """Each one more doubles the work of a password check; 12 are about 0.25 s."""

    login_failures_per_account: int = Field(default=10, ge=1)
    """Wrong passwords for one e-mail address within a day, before each further one costs a growing wait."""

    login_failures_per_address: int = Field(default=100, ge=1)
    """The same for one client address within an hour."""

    registrations_per_address: int = Field(default=100, ge=1)
    """Registrations tried from one client address within an hour, before each further one costs a growing wait."""

    def production_problems(self) -> list[str]:
        problems = super().production_problems()
        if self.bcrypt_rounds < MINIMUM_PRODUCTION_ROUNDS:
            problems.append(f"BCRYPT_ROUNDS is less than {MINIMUM_PRODUCTION_ROUNDS}")
        return problems

"""The environment of the subscription service."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from common.settings import ServiceSettings

_PACKAGE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


class Settings(ServiceSettings):
    """What this service reads beside what all services read; without credentials ``verify`` answers 503."""

    service_name: str = "subscription"
    port: int = Field(default=5005, ge=0, le=65535)

    google_application_credentials: Path | None = None
    """JSON key of a service account that may view orders in the Play Console."""

    google_play_api_base: str = "https://androidpublisher.googleapis.com"

    google_play_packages: Annotated[tuple[str, ...], NoDecode] = ()
    """The apps whose purchases count, by package name, separated by commas."""

    subscription_plans: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """What plans are called: ``pro_monthly=Pro Monthly,pro_yearly=Pro Yearly``, or a JSON object."""

    allow_test_purchases: bool = False
    """Whether licence testers' purchases count in production; elsewhere they always do."""

    google_play_timeout_seconds: float = Field(default=6.0, gt=0, le=8.0)
    """All tries of one question to Google together; the gateway waits 10 s."""

    google_play_outage_grace_seconds: int = Field(default=3 * 24 * 3600, ge=0)
    """How long a renewing subscription outlives its expiry while Google cannot be asked whether it has renewed."""

    recheck_interval_seconds: float = Field(default=15.0, gt=0)
    """Pause between two looks for purchases to acknowledge or pending ones to ask about again."""

    @field_validator("google_play_packages", mode="before")
    @classmethod
    def _split_packages(cls, value: object) -> object:
        if isinstance(value, str):
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("google_play_packages")
    @classmethod
    def _check_packages(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        if any(not _PACKAGE_NAME.fullmatch(package) for package in packages):
            raise ValueError("must be package names such as com.example.app, separated by commas")
        return packages

    @field_validator("subscription_plans", mode="before")
    @classmethod
    def _parse_plans(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            return json.loads(value)
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not product.strip() or not name.strip() for product, _, name in pairs):
            raise ValueError("must look like pro_monthly=Pro Monthly,pro_yearly=Pro Yearly")
        return {product.strip(): name.strip() for product, _, name in pairs}

    @property
    def accepts_test_purchases(self) -> bool:
        return self.allow_test_purchases or not self.is_production

    @property
    def google_play_outage_grace(self) -> timedelta:
        return timedelta(seconds=self.google_play_outage_grace_seconds)

    def production_problems(self) -> list[str]:
        problems = super().production_problems()
        if self.google_application_credentials is None:
            return problems
        try:
            key: Any = json.loads(self.google_application_credentials.read_bytes())
            address = urlsplit(key["token_uri"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            problems.append("GOOGLE_APPLICATION_CREDENTIALS is not the file of a service account's key")
        else:
            hostname = address.hostname or ""
            if address.scheme != "https" or hostname in _LOCAL_HOSTS or "sandbox" in hostname:
                problems.append("GOOGLE_APPLICATION_CREDENTIALS holds a sandbox address or one that is not https")
        return problems

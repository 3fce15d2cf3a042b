"""Settings every service shares, and what production does not allow."""

import sys
from typing import ClassVar, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MINIMUM_SECRET_BYTES = 32
"""An HS256 key shorter than its hash weakens it (RFC 7518, section 3.2)."""

_PLACEHOLDERS = ("change-me", "changeme", "change_me", "your-", "your_", "development-only", "sandbox", "secret-key")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


class CommonSettings(BaseSettings):
    """What any process of the mesh reads, the gateway included."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    long_secrets: ClassVar[tuple[str, ...]] = ("jwt_secret",)
    """Fields that must be long random values in production; every other secret must at least not be a placeholder."""

    service_name: str
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    environment: Literal["development", "test", "staging", "production"] = Field(
        default="development", validation_alias=AliasChoices("environment", "ENVIRONMENT", "NODE_ENV")
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    reload: bool = False
    """Restart the process when its code changes; for development only."""

    public_url: str = "http://localhost:5000"
    """Address under which clients reach the gateway; picture addresses begin with it."""

    jwt_secret: SecretStr
    """HS256 key of the users' access tokens, shared by all processes."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)

    @field_validator("environment", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @model_validator(mode="after")
    def _refuse_what_is_unsafe_in_production(self) -> Self:
        if self.is_production and (problems := self.production_problems()):
            raise ValueError("; ".join(problems))
        return self

    def production_problems(self) -> list[str]:
        """Say what must not run in production, each beginning with the variable's name."""
        problems = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            variable = name.upper()
            if isinstance(value, SecretStr):
                secret = value.get_secret_value()
                if name in self.long_secrets and len(secret.encode()) < MINIMUM_SECRET_BYTES:
                    problems.append(f"{variable} is shorter than {MINIMUM_SECRET_BYTES} bytes")
                if name != "mongo_uri" and any(placeholder in secret.lower() for placeholder in _PLACEHOLDERS):
                    problems.append(f"{variable} is a placeholder or belongs to the sandbox")
            elif name.endswith("_api_base") and value is not None:
                address = urlsplit(str(value))
                hostname = address.hostname or ""
                if address.scheme != "https" or hostname in _LOCAL_HOSTS or "sandbox" in hostname:
                    problems.append(f"{variable} is a sandbox address or not https")
        if self.reload:
            problems.append("RELOAD is for development")
        return problems


class ServiceSettings(CommonSettings):
    """What the five services read; a missing value without a default stops the start."""

    long_secrets: ClassVar[tuple[str, ...]] = ("jwt_secret", "service_secret")

    mongo_uri: SecretStr
    """MongoDB's address; it may hold a password."""

    mongo_database: str | None = None
    """Name of this service's own database; ``pixelmint_<service>`` without one."""

    service_secret: SecretStr
    """HS256 key of the tokens with which services call each other."""

    http_connect_timeout_seconds: float = Field(default=2.0, gt=0)
    http_timeout_seconds: float = Field(default=2.5, gt=0)
    """One of up to three tries of a call to another service; together they end before the gateway's 10 s."""

    def production_problems(self) -> list[str]:
        problems = super().production_problems()
        if self.jwt_secret == self.service_secret:
            problems.append("SERVICE_SECRET must differ from JWT_SECRET")
        return problems


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(settings_class: type[SettingsT]) -> SettingsT:
    """Read the environment, or end the process with one line a problem that names the variable."""
    try:
        return settings_class()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            variable = ".".join(str(part) for part in problem["loc"]).upper()
            text = problem["msg"].removeprefix("Value error, ")
            sys.stderr.write(f"cannot start: {variable}: {text}\n" if variable else f"cannot start: {text}\n")
        sys.exit(78)  # EX_CONFIG of sysexits.h

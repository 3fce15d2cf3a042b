"""The environment of the sandbox."""

from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the sandbox reads from its environment; every value has a default that suits the local run."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(default=5010, ge=0, le=65535)
    environment: str = Field(default="development", validation_alias=AliasChoices("ENVIRONMENT", "NODE_ENV"))
    log_level: str = "info"
    sandbox_base_url: str | None = None
    """Address under which the services reach the sandbox; becomes ``token_uri`` in the credentials file."""
    sandbox_credentials_file: Path | None = None
    """Google service-account key to make (if absent) and to verify token requests against."""
    sandbox_credentials_world_readable: bool = False
    """Mode 0644 instead of 0600, for a volume that containers with other user ids read."""
    sandbox_price_100_coins: int = Field(default=100, ge=1, le=99_999_999)
    """What an unseen Stripe payment paid, in minor units of the currency."""
    sandbox_currency: str = Field(default="usd", pattern="^[a-z]{3}$")
    sandbox_play_product: str = "pro_monthly"
    """Product of an unseen subscription token that does not carry its own."""
    sandbox_play_one_time_product: str = "coins_100"
    """Product of an unseen one-time token that does not carry its own and whose path names none."""
    public_url: str = "http://localhost:5000"
    """Where clients reach the gateway."""
    gateway_url: str | None = None
    """Where the sandbox does, if not there: vendors' webhooks and callbacks are sent to it."""
    stripe_webhook_secret: SecretStr | None = None
    """What Stripe's webhooks are signed with; the coin service is given the same."""
    google_play_push_audience: str | None = None
    """Audience of the token with which notifications are pushed; without one the address they are pushed to."""
    google_play_push_email: str = "push@pixelmint-sandbox.iam.gserviceaccount.com"
    """Whom that token names."""
    sandbox_drawing_threads: int = Field(default=2, ge=1, le=32)

    @property
    def base_url(self) -> str:
        """Address of this process as the services see it, without a trailing slash."""
        return (self.sandbox_base_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def webhooks_url(self) -> str:
        """The gateway's address, without a trailing slash."""
        return (self.gateway_url or self.public_url).rstrip("/")

    @model_validator(mode="after")
    def _never_in_production(self) -> Self:
        if self.environment.strip().lower() in {"production", "prod"}:
            raise ValueError("the sandbox accepts every key and every payment and does not start in production")
        return self

"""The gateway's environment."""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AnyHttpUrl, Field, field_validator
from pydantic_settings import NoDecode

from common.settings import CommonSettings

CommaList = Annotated[tuple[str, ...], NoDecode]

_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?:[0-9]{1,5}|\*))?")
DEVELOPMENT_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")


class Settings(CommonSettings):
    """What the gateway reads; it keeps no data and knows no secret but the key of the users' tokens."""

    service_name: str = "gateway"
    port: int = Field(default=5000, ge=0, le=65535)

    auth_url: AnyHttpUrl = AnyHttpUrl("http://auth:5001")
    user_url: AnyHttpUrl = AnyHttpUrl("http://user:5002")
    coin_url: AnyHttpUrl = AnyHttpUrl("http://coin:5003")
    image_url: AnyHttpUrl = AnyHttpUrl("http://image:5004")
    subscription_url: AnyHttpUrl = AnyHttpUrl("http://subscription:5005")

    cors_origins: CommaList | None = None
    """Web pages that may call us; localhost's in development, none elsewhere, if not set."""

    trusted_proxies: CommaList = ()
    """Addresses and networks whose ``X-Forwarded-*`` are believed."""

    max_connections: int = Field(default=2000, ge=1)
    """Open connections of clients, idle ones included."""

    max_requests: int = Field(default=1000, ge=1)
    """Requests being forwarded at once; one more is answered 503."""

    upstream_connections: int = Field(default=256, ge=1)
    """Connections to one service, and how many requests may wait for one."""

    max_followers: int = Field(default=512, ge=1)
    """Clients that follow a generation at once (``GET /api/image/generations/…``); one more is answered 503."""

    upstream_connect_timeout_seconds: float = Field(default=2.0, gt=0)
    upstream_timeout_seconds: float = Field(default=10.0, gt=0)
    """From the request's last byte to the answer's first."""

    generation_timeout_seconds: float = Field(default=120.0, gt=0)
    """The same for ``POST /api/image/generate`` and ``/api/image/generations/…``."""

    upstream_idle_timeout_seconds: float = Field(default=60.0, gt=0)
    """Longest pause within an answer."""

    head_timeout_seconds: float = Field(default=10.0, gt=0)
    """For a client to send a request's head."""

    body_stall_timeout_seconds: float = Field(default=15.0, gt=0)
    """Longest pause within a request's body."""

    body_timeout_seconds: float = Field(default=90.0, gt=0)
    """For a request's whole body."""

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _must_be_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _must_be_origins(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for origin in value or ():
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is not an origin such as https://app.example")
        return value

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        if self.cors_origins is not None:
            return self.cors_origins
        return DEVELOPMENT_ORIGINS if self.environment in ("development", "test") else ()

    @property
    def upstream_urls(self) -> dict[str, str]:
        return {
            "auth": str(self.auth_url),
            "user": str(self.user_url),
            "coin": str(self.coin_url),
            "image": str(self.image_url),
            "subscription": str(self.subscription_url),
        }

    def production_problems(self) -> list[str]:
        problems = super().production_problems()
        if "*" in self.allowed_origins:
            # Any page could then use a token that it got hold of; a list costs nothing.
            problems.append("CORS_ORIGINS is a wildcard: list the web pages that may call")
        return problems

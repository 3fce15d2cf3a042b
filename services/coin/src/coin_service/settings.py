"""Environment of the coin service."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FilePath, SecretStr, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import NoDecode

from coin_service.packs import Pack, check_packs, packs_of
from common.google_push import CERTS_URL
from common.schemas import MAX_COINS
from common.settings import ServiceSettings

SOURCE_PATTERN = r"^[a-z0-9_]{1,40}$"
"""A source's name is a field of every entry of those who earned by it."""

GOOGLE_TOKEN_HOSTS = ("oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com")

GOOGLE_AD_KEYS_HOST = "www.gstatic.com"


class EarnRule(BaseModel):
    """What one source may give; in the environment with the wire's spelling, ``maxAmount``."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    max_amount: int = Field(ge=1, le=MAX_COINS)
    """Coins an event."""
    cooldown_seconds: float = Field(ge=0, le=86_400)
    daily_limit: int = Field(ge=1, le=MAX_COINS)
    """Coins a UTC day."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _split_pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [part.split("=", 1) for part in value.split(",") if part.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("must be product=coins,product=coins")
    return {name.strip(): coins.strip() for name, coins in pairs}


def _token_address(key_file: Path) -> str:
    try:
        key = json.loads(key_file.read_bytes())
    except (OSError, ValueError):
        return ""
    address = key.get("token_uri") if isinstance(key, dict) else None
    return address if isinstance(address, str) else ""


def _without_slash(value: str) -> str:
    return value.rstrip("/")


Source = Annotated[str, Field(pattern=SOURCE_PATTERN)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]"), AfterValidator(_without_slash)]


class Settings(ServiceSettings):
    """A missing value without a default stops the start."""

    service_name: Literal["coin"] = "coin"
    port: int = Field(default=5003, ge=0, le=65535)
    auth_url: Address = "http://auth:5001"
    image_url: Address = "http://image:5004"
    """Only operators' commands ask there."""

    signup_bonus_coins: int = Field(default=100, ge=0, le=MAX_COINS)
    """First entry of a new wallet."""

    earn_rules: dict[Source, EarnRule] = Field(
        default={"ad_watch": EarnRule(max_amount=10, cooldown_seconds=30, daily_limit=100)}
    )
    """By source, as JSON."""

    coin_currency: str = Field(default="usd", pattern=r"^[a-z]{3}$")
    coin_price_minor_units: int = Field(default=1, ge=1, le=1_000_000)
    """Price of one coin in the currency's smallest unit: 1 makes 100 coins 1.00 USD."""

    coin_packs: tuple[Pack, ...] | None = None
    """What is offered, as JSON; without it what Google Play sells."""

    stripe_secret_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    """``whsec_…`` of the endpoint; without it webhooks are refused and the sweeper finds what they tell, only later."""
    stripe_sweep_seconds: float = Field(default=300.0, gt=0)
    """From one look at Stripe for what no webhook told us to the next; a checkout is looked at from that age on."""
    stripe_api_base: Address = "https://api.stripe.com"

    google_application_credentials: FilePath | None = None
    """A service account's JSON key; without it Google Play purchases cannot be checked."""
    google_play_packages: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """The apps' package names; the first one sells the coins."""
    google_play_products: Annotated[
        dict[str, Annotated[int, Field(ge=1, le=MAX_COINS)]], NoDecode, BeforeValidator(_split_pairs)
    ] = Field(default={"coins_100": 100, "coins_500": 500, "coins_1000": 1000})
    """Coins of each one-time product, as ``coins_100=100,coins_500=500``."""
    google_play_api_base: Address = "https://androidpublisher.googleapis.com"
    google_play_sweep_seconds: float = Field(default=900.0, gt=0)
    """From one look at the list of voided purchases to the next; Google allows 6000 a day."""
    google_play_push_audience: str | None = None
    """Of our Pub/Sub push subscription; without it and the e-mail its messages are refused; the list still tells."""
    google_play_push_email: str | None = None
    """The service account that it pushes as."""
    google_certs_url: Address = CERTS_URL
    allow_test_purchases: bool = False
    """Whether a licence tester's purchase, which nobody paid, buys coins in production; elsewhere it always does."""

    admob_keys_url: Address = "https://www.gstatic.com/admob/reward/verifier-keys.json"
    """Whose signatures on callbacks are believed."""
    admob_ad_units: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Our ad units, ``ca-app-pub-…/2747237135`` or the digits alone; without any every ad unit's callback counts."""
    admob_ssv_required: bool = False
    """Whether ads are credited on AdMob's word alone, and the app's own claim is refused."""

    audit_interval_seconds: float = Field(default=3600.0, gt=0)
    """From the end of one audit of all wallets to the next, in one of the processes."""
    hold_alarm_seconds: float = Field(default=900.0, gt=0)
    """Age at which an open hold is an alarm; it never ends by itself."""

    provider_timeout_seconds: float = Field(default=3.0, gt=0)
    """One call to a payment provider."""
    provider_total_seconds: float = Field(default=7.0, gt=0)
    """All calls that one purchase needs, retries included; less than the gateway's 10 s."""

    @property
    def accepts_test_purchases(self) -> bool:
        return self.allow_test_purchases or not self.is_production

    @property
    def packs(self) -> tuple[Pack, ...]:
        return packs_of(self.google_play_products) if self.coin_packs is None else self.coin_packs

    @model_validator(mode="after")
    def _purchasable(self) -> Self:
        check_packs(self.packs, self.google_play_products)
        return self

    @model_validator(mode="after")
    def _earnable(self) -> Self:
        for source, rule in self.earn_rules.items():
            if rule.max_amount > rule.daily_limit:
                raise ValueError(f"EARN_RULES: {source} allows more at once than a day")
        return self

    def production_problems(self) -> list[str]:
        problems = super().production_problems()
        if self.stripe_secret_key is None:
            problems.append("STRIPE_SECRET_KEY is missing")
        elif not self.stripe_secret_key.get_secret_value().startswith(("sk_live_", "rk_live_")):
            problems.append("STRIPE_SECRET_KEY is not a live key")
        if self.stripe_webhook_secret is not None and len(self.stripe_webhook_secret.get_secret_value()) < 32:
            problems.append("STRIPE_WEBHOOK_SECRET is shorter than 32 bytes")
        if self.google_application_credentials is not None:
            address = _token_address(self.google_application_credentials)
            if urlsplit(address).hostname not in GOOGLE_TOKEN_HOSTS or not address.startswith("https://"):
                problems.append("GOOGLE_APPLICATION_CREDENTIALS is not a service account's key with Google's address")
        if self.google_certs_url != CERTS_URL:
            problems.append("GOOGLE_CERTS_URL is not Google's")
        if urlsplit(self.admob_keys_url)[:2] != ("https", GOOGLE_AD_KEYS_HOST):
            problems.append("ADMOB_KEYS_URL is not Google's")
        if self.admob_ssv_required and not self.admob_ad_units:
            problems.append("ADMOB_AD_UNITS is missing: anybody's ad unit would confirm ads")
        return problems

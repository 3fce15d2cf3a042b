"""What the environment may say."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from coin_service.main import create_app
from coin_service.settings import Settings

PRODUCTION = {
    "ENVIRONMENT": "production",
    "MONGO_URI": "mongodb://database.example/",
    "JWT_SECRET": "j" * 40,
    "SERVICE_SECRET": "s" * 40,
    "STRIPE_SECRET_KEY": "sk_live_0123456789",
    "PUBLIC_URL": "https://pixelmint.example",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(**changes: str | None) -> Settings:
        for name, value in (PRODUCTION | changes).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return Settings()

    return put


def test_defaults(environment: Any) -> None:
    settings = environment()
    assert (settings.port, settings.signup_bonus_coins, settings.coin_currency) == (5003, 100, "usd")
    rule = settings.earn_rules["ad_watch"]
    assert (rule.max_amount, rule.cooldown_seconds, rule.daily_limit) == (10, 30, 100)
    assert settings.accepts_test_purchases is False
    assert environment(ALLOW_TEST_PURCHASES="true").accepts_test_purchases is True


def test_rules_packages_and_products(environment: Any) -> None:
    settings = environment(
        EARN_RULES='{"survey": {"maxAmount": 50, "cooldownSeconds": 0.5, "dailyLimit": 50}}',
        GOOGLE_PLAY_PACKAGES=" com.example.a, com.example.b ,",
        GOOGLE_PLAY_PRODUCTS="small=10, large=1000",
        STRIPE_API_BASE="https://api.stripe.com/",
    )
    assert set(settings.earn_rules) == {"survey"}
    assert settings.google_play_packages == ("com.example.a", "com.example.b")
    assert settings.google_play_products == {"small": 10, "large": 1000}
    assert settings.stripe_api_base == "https://api.stripe.com"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EARN_RULES", '{"ad_watch": {"maxAmount": 0, "cooldownSeconds": 0, "dailyLimit": 1}}'),
        ("EARN_RULES", '{"ad_watch": {"maxAmount": 2, "cooldownSeconds": 0, "dailyLimit": 1}}'),
        ("EARN_RULES", '{"ad_watch": {"maxAmount": 1, "coolDown": 0, "dailyLimit": 1}}'),
        ("EARN_RULES", '{"ad.watch": {"maxAmount": 1, "cooldownSeconds": 0, "dailyLimit": 1}}'),
        ("EARN_RULES", '{"$set": {"maxAmount": 1, "cooldownSeconds": 0, "dailyLimit": 1}}'),
        ("SIGNUP_BONUS_COINS", "-1"),
        ("COIN_CURRENCY", "USD"),
        ("COIN_PRICE_MINOR_UNITS", "0"),
        ("GOOGLE_PLAY_PRODUCTS", "small"),
        ("GOOGLE_PLAY_PRODUCTS", "small=none"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("STRIPE_API_BASE", "http://127.0.0.1:5010"),
        ("GOOGLE_PLAY_API_BASE", "http://sandbox:5010"),
        ("ADMOB_KEYS_URL", "http://sandbox:5010/admob/reward/verifier-keys.json"),
        ("ADMOB_KEYS_URL", "https://keys.example.com/verifier-keys.json"),
        ("ADMOB_SSV_REQUIRED", "perhaps"),
        ("STRIPE_SECRET_KEY", None),
        ("STRIPE_SECRET_KEY", "sk_test_0123456789"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/play.json"),
    ],
)
def test_what_production_does_not_start_with(environment: Any, name: str, value: str | None) -> None:
    with pytest.raises(ValidationError) as refused:
        environment(**{name: value})
    assert name in str(refused.value).upper()


def test_ads_that_need_a_callback_need_ad_units(environment: Any) -> None:
    with pytest.raises(ValidationError, match="ADMOB_AD_UNITS is missing"):
        environment(ADMOB_SSV_REQUIRED="true")
    units = "ca-app-pub-3940256099942544/5224354917, 2747237135"
    settings = environment(ADMOB_SSV_REQUIRED="true", ADMOB_AD_UNITS=units)
    assert settings.admob_ad_units == ("ca-app-pub-3940256099942544/5224354917", "2747237135")


def test_production_does_not_take_the_sandboxs_google_account(environment: Any, key_file: Path) -> None:
    with pytest.raises(ValidationError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        environment(GOOGLE_APPLICATION_CREDENTIALS=str(key_file))


def test_key_is_not_shown(environment: Any) -> None:
    settings = environment()
    assert isinstance(settings.stripe_secret_key, SecretStr)
    assert "sk_live" not in repr(settings)


def test_production_without_webhooks_says_so(environment: Any, capfd: pytest.CaptureFixture[str]) -> None:
    create_app(environment(STRIPE_WEBHOOK_SECRET="whsec_" + "x" * 32))
    assert "STRIPE_WEBHOOK_SECRET" not in capfd.readouterr().out
    create_app(environment(STRIPE_WEBHOOK_SECRET=None))
    (said,) = capfd.readouterr().out.splitlines()
    assert '"variable": "STRIPE_WEBHOOK_SECRET"' in said
    assert '"level": "error"' in said

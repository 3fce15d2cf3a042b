"""The gateway's environment."""

import pytest
from pydantic import ValidationError

from gateway_service.settings import Settings

SECRET = "9f8e7d6c" * 8


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)


def test_the_defaults_are_the_meshs() -> None:
    settings = Settings()

    assert settings.port == 5000
    assert settings.upstream_urls == {
        "auth": "http://auth:5001/",
        "user": "http://user:5002/",
        "coin": "http://coin:5003/",
        "image": "http://image:5004/",
        "subscription": "http://subscription:5005/",
    }


def test_lists_are_read_from_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", " https://a.example , https://b.example,")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,::1")

    settings = Settings()

    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRUSTED_PROXIES", "everybody"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/"),
        ("CORS_ORIGINS", "https://*.example"),
        ("COIN_URL", "coin"),
        ("COIN_URL", "ftp://coin"),
        ("MAX_REQUESTS", "0"),
        ("UPSTREAM_TIMEOUT_SECONDS", "-1"),
    ],
)
def test_what_makes_no_sense_stops_the_start(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ValidationError):
        Settings()


def test_a_weak_secret_stops_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_ENV", "production")
    assert Settings().is_production
    monkeypatch.setenv("JWT_SECRET", "short")

    with pytest.raises(ValidationError, match="JWT_SECRET"):
        Settings()


def test_a_wildcard_of_web_pages_stops_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://app.example,*")
    assert Settings().allowed_origins == ("https://app.example", "*")
    monkeypatch.setenv("ENVIRONMENT", "production")

    with pytest.raises(ValidationError, match="CORS_ORIGINS"):
        Settings()


def test_localhost_is_known_in_development_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://localhost:*" in Settings().allowed_origins
    monkeypatch.setenv("ENVIRONMENT", "staging")

    assert Settings().allowed_origins == ()

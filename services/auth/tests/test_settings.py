"""What the environment may say."""

import pytest

from auth_service.settings import Settings, parse_duration
from common.settings import load_settings


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("15m", 900), ("3600", 3600), (" 1d ", 86_400)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0d", "-1", "1.5h", "30 d", "30D", "1w", "15s", "d", "1e3", "٣d", "99999d", "9" * 30]
)
def test_other_durations_stop_the_start_and_are_named(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://localhost")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    monkeypatch.setenv("SERVICE_SECRET", "y" * 32)
    monkeypatch.setenv("JWT_EXPIRE", text or " ")
    with pytest.raises(SystemExit):
        load_settings(Settings)
    assert "JWT_EXPIRE" in capsys.readouterr().err


def test_defaults_and_what_production_wants(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://localhost")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    monkeypatch.setenv("SERVICE_SECRET", "y" * 32)
    settings = load_settings(Settings)
    assert (settings.port, settings.jwt_expire, settings.refresh_expire, settings.bcrypt_rounds) == (
        5001,
        30 * 86_400,
        90 * 86_400,
        12,
    )
    monkeypatch.setenv("NODE_ENV", "production")
    assert load_settings(Settings).is_production
    monkeypatch.setenv("BCRYPT_ROUNDS", "9")
    with pytest.raises(SystemExit):
        load_settings(Settings)
    assert "BCRYPT_ROUNDS" in capsys.readouterr().err

"""What a process refuses to start with."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from common.settings import ServiceSettings, load_settings

GOOD = {
    "PORT": "5003",
    "MONGO_URI": "mongodb://db.internal:27017",
    "JWT_SECRET": "j" * 32,
    "SERVICE_SECRET": "s" * 32,
}


class Settings(ServiceSettings):
    service_name: str = "coin"
    vendor_api_base: str = "https://api.vendor.com"
    vendor_key: SecretStr | None = None


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name in ("NODE_ENV", "ENVIRONMENT", "HOST", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        load_settings(Settings)
    assert stopped.value.code == 78
    return capsys.readouterr().err


@pytest.mark.parametrize("name", ["MONGO_URI", "JWT_SECRET", "SERVICE_SECRET"])
@pytest.mark.parametrize("value", [None, ""])
def test_missing_value_is_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str | None
) -> None:
    if value is None:
        environment.delenv(name)
    else:
        environment.setenv(name, value)
    assert name in refusal(capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "tiny-value"),
        ("SERVICE_SECRET", "x" * 31),
        ("JWT_SECRET", "change-me-change-me-change-me-change-me"),
        ("SERVICE_SECRET", GOOD["JWT_SECRET"]),
        ("VENDOR_API_BASE", "http://api.vendor.com"),
        ("VENDOR_API_BASE", "https://sandbox:5010"),
        ("VENDOR_API_BASE", "https://127.0.0.1"),
        ("VENDOR_KEY", "sk_test_sandbox_0000"),
        ("RELOAD", "true"),
    ],
)
def test_production_refuses_what_is_unsafe_and_names_it(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(name, value)
    assert load_settings(Settings).environment == "development"
    environment.setenv("NODE_ENV", "production")
    text = refusal(capsys)
    assert name in text
    assert name == "RELOAD" or value not in text


def test_production_starts_with_good_values_and_environment_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NODE_ENV", "development")
    environment.setenv("ENVIRONMENT", "Production")
    assert load_settings(Settings).is_production


def test_unknown_environment_is_refused(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("ENVIRONMENT", "produktion")
    assert "ENVIRONMENT" in refusal(capsys)


def test_secrets_do_not_show(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings(Settings)
    assert "j" * 32 not in repr(settings)
    environment.setenv("JWT_SECRET", "a-secret-value")
    environment.setenv("PORT", "not-a-port")
    with pytest.raises(ValidationError) as error:
        Settings()
    assert "not-a-port" not in str(error.value)

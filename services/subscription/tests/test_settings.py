"""What the environment may say, and what production refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from subscription_service.plans import plan_name
from subscription_service.settings import Settings

BASE = {
    "MONGO_URI": "mongodb://127.0.0.1:1/",
    "JWT_SECRET": "j" * 40,
    "SERVICE_SECRET": "s" * 40,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in list(Settings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("NODE_ENV", raising=False)

    def read(**variables: str) -> Settings:
        for name, value in (BASE | variables).items():
            monkeypatch.setenv(name, value)
        return Settings()

    return read


def test_defaults(environment: Any) -> None:
    settings = environment(GOOGLE_PLAY_PACKAGES="", SUBSCRIPTION_PLANS="", GOOGLE_APPLICATION_CREDENTIALS="")
    assert settings.port == 5005
    assert settings.google_application_credentials is None
    assert settings.google_play_packages == ()
    assert settings.subscription_plans == {}
    assert settings.google_play_api_base == "https://androidpublisher.googleapis.com"
    assert settings.accepts_test_purchases


def test_lists(environment: Any) -> None:
    settings = environment(
        GOOGLE_PLAY_PACKAGES=" com.example.app, com.example.other ,", SUBSCRIPTION_PLANS="a=Plan A, b = B=2"
    )
    assert settings.google_play_packages == ("com.example.app", "com.example.other")
    assert settings.subscription_plans == {"a": "Plan A", "b": "B=2"}
    assert environment(SUBSCRIPTION_PLANS='{"a": "Plan, A"}').subscription_plans == {"a": "Plan, A"}


@pytest.mark.parametrize(
    "variables",
    [
        {"GOOGLE_PLAY_PACKAGES": "https://example.com"},
        {"GOOGLE_PLAY_PACKAGES": "com.example.app;com.example.other"},
        {"SUBSCRIPTION_PLANS": "pro_monthly"},
        {"SUBSCRIPTION_PLANS": "=Pro"},
        {"SUBSCRIPTION_PLANS": '{"a": '},
        {"SUBSCRIPTION_PLANS": '{"a": 1}'},
        {"GOOGLE_PLAY_TIMEOUT_SECONDS": "30"},
        {"GOOGLE_PLAY_OUTAGE_GRACE_SECONDS": "-1"},
    ],
)
def test_mistakes_name_the_variable(environment: Any, variables: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as raised:
        environment(**variables)
    assert [problem["loc"][0] for problem in raised.value.errors()] == [next(iter(variables)).lower()]


@pytest.mark.parametrize(
    "variables",
    [{"GOOGLE_PLAY_API_BASE": "http://sandbox:5010"}, {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"}],
)
def test_production_refuses(environment: Any, variables: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(variables))):
        environment(ENVIRONMENT="production", **variables)


@pytest.mark.parametrize(
    "token_uri", ["http://127.0.0.1:5010/token", "https://localhost/token", "http://x.example/", None]
)
def test_production_refuses_a_key_of_the_sandbox(environment: Any, tmp_path: Path, token_uri: str | None) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"token_uri": token_uri}))
    with pytest.raises(ValidationError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        environment(ENVIRONMENT="production", GOOGLE_APPLICATION_CREDENTIALS=str(path))


def test_production_starts_with_a_good_key(environment: Any, production_key_file: Path) -> None:
    settings = environment(
        ENVIRONMENT="production",
        GOOGLE_APPLICATION_CREDENTIALS=str(production_key_file),
    )
    assert not settings.accepts_test_purchases


@pytest.mark.parametrize(
    ("product_id", "name"),
    [("pro_monthly", "Pro Monthly"), ("com.example.gold-1y", "Com Example Gold 1y"), ("X", "X"), ("known", "Das Abo")],
)
def test_plan_names(product_id: str, name: str) -> None:
    assert plan_name(product_id, {"known": "Das Abo"}) == name

"""The environment: what is missing or unsafe stops the start, by name."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from common.testing import service_settings
from image_service.settings import Settings

GOOD = {
    "environment": "production",
    "jwt_secret": SecretStr("j" * 40),
    "service_secret": SecretStr("s" * 40),
    "stability_api_key": SecretStr("sk-" + "k" * 40),
    "stability_api_base": "https://api.stability.ai",
}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({"stability_api_key": SecretStr("sk-sandbox")}, "STABILITY_API_KEY"),
        ({"stability_api_base": "http://sandbox:5010"}, "STABILITY_API_BASE"),
        ({"stability_api_base": "http://api.stability.ai"}, "STABILITY_API_BASE"),
        ({"service_secret": SecretStr("short")}, "SERVICE_SECRET"),
        ({"storage_backend": "s3"}, "AWS_S3_BUCKET_NAME"),
        ({"aws_access_key_id": "key"}, "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_production_refuses(settings: Callable[..., Settings], overrides: dict[str, Any], name: str) -> None:
    assert settings(**GOOD).is_production
    with pytest.raises(ValidationError, match=name):
        settings(**(GOOD | overrides))


@pytest.mark.parametrize("engine", ["../v2", "a/b", "", "SDXL?x=1", "sd4", "Core", "stable-diffusion-v1-6"])
def test_an_engine_that_nobody_knows(settings: Callable[..., Settings], engine: str) -> None:
    with pytest.raises(ValidationError, match="stability_engine"):
        settings(stability_engine=engine)


def test_the_engines_key_is_required_and_secret() -> None:
    with pytest.raises(ValidationError, match="stability_api_key"):
        service_settings(Settings, "mongodb://localhost", "x")
    assert "hush" not in repr(
        service_settings(Settings, "mongodb://localhost", "x", stability_api_key=SecretStr("hush-hush"))
    )

"""The user service's environment."""

from pydantic import AnyHttpUrl, Field

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the user service reads."""

    service_name: str = "user"
    port: int = Field(default=5002, ge=0, le=65535)

    auth_url: AnyHttpUrl = AnyHttpUrl("http://auth:5001")

    heal_interval_seconds: float = Field(default=2.0, gt=0)
    """Between two looks for changes that were left half-way, give or take a quarter."""

    heal_after_seconds: float = Field(default=4.0, ge=0)
    """Age from which a change counts as left half-way: whoever began it is done by then, or gone."""

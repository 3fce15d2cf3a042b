"""Environment of the image service."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from common.settings import ServiceSettings
from image_service.cloudinary_account import CloudinaryAccount

EngineName = Literal[
    "stable-diffusion-xl-1024-v1-0",
    "stable-diffusion-xl-1024-v0-9",
    "core",
    "ultra",
    "sd3",
    "sd3.5-large",
    "sd3.5-large-turbo",
    "sd3.5-medium",
    "sd3.5-flash",
]
"""Engines of the vendor's API v1 by their ids there, then those of v2beta; ``sd3`` is ``sd3.5-large``."""


class Settings(ServiceSettings):
    """A missing value without a default stops the start."""

    service_name: str = "image"
    port: int = Field(default=5004, ge=0, le=65535)

    coin_url: str = "http://coin:5003"
    subscription_url: str = "http://subscription:5005"

    stability_api_base: str = "https://api.stability.ai"
    stability_api_key: SecretStr
    stability_engine: EngineName = "stable-diffusion-xl-1024-v1-0"
    stability_timeout_seconds: float = Field(default=90.0, gt=0, le=90)
    """One call of the engine, whole; it ends within the gateway's 120 s with time left to store and to charge."""

    stability_max_calls: int = Field(default=32, ge=1, le=64)
    """Calls of the engine in flight in this process; an engine that draws one picture a call gets several an order."""

    coins_per_image: int = Field(default=10, ge=1, le=100_000)
    subscription_daily_images: int = Field(default=200, ge=0)
    """Pictures a day (UTC) that an active subscription covers; after that coins are charged."""

    max_samples: int = Field(default=10, ge=1, le=10)
    """Pictures of one order; the engine itself takes ten at most."""
    max_concurrent_generations: int = Field(default=16, ge=1)
    """Orders at the engine at once in this process."""
    max_drawing_per_user: int = Field(default=4, ge=1)
    """Of those, one user's fair share; the user's further orders wait."""
    max_waiting_generations: int = Field(default=64, ge=0)
    """Orders that wait for the engine in this process; one more is answered 503."""
    max_generations_per_user: int = Field(default=16, ge=1)
    """One user's orders under way in this process; one more is answered 429."""
    max_wait_seconds: float = Field(default=30.0, gt=0)
    """How long an order waits for its turn at the engine before it is given up; nothing is charged."""

    max_followers: int = Field(default=256, ge=1)
    """Clients that follow generations at once in this process (streams of events, long polls); one more gets 503."""
    max_followers_per_user: int = Field(default=32, ge=1)
    """Of those, one user's; one more gets 429."""
    event_stream_seconds: float = Field(default=100.0, gt=0)
    """Life of one stream of events; its client then comes back for what it has not seen."""

    lease_seconds: float = Field(default=30.0, ge=1)
    """After how long without a sign of life a generation may be ended by another process."""
    recovery_interval_seconds: float = Field(default=3.0, gt=0)
    shutdown_seconds: float = Field(default=100.0, gt=0)
    """How long a stopping process waits for its generations; what is then left is ended by the next one."""

    reports_a_day: int = Field(default=100, ge=1)
    """Reports of one user within 24 hours; one more is answered 429."""

    storage_backend: Literal["local", "s3", "cloudinary"] = "local"
    uploads_dir: Path = Path(".data/uploads")

    storage_sweep_seconds: float = Field(default=3600.0, gt=0)
    """From one round through all files and pictures, to hold them against each other, to the next."""
    storage_missing_hours: float = Field(default=24.0, gt=0)
    """After how long without its file a picture is given up and refunded."""

    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    """Without these two the machine's own role is used."""
    aws_region: str = "us-east-1"
    aws_s3_bucket_name: str | None = None
    aws_s3_bucket_url: str | None = None
    """Address under which phones can read the bucket (a public bucket or a CDN)."""
    aws_s3_acl: str | None = Field(default=None, pattern="^[a-z-]{1,40}$")
    """Sent with every object if set; buckets made since April 2023 refuse any but ``bucket-owner-full-control``."""
    s3_endpoint_url: str | None = None
    """A self-hosted S3; phones need not reach it, its pictures are served under ``/uploads``."""
    s3_url_ttl_seconds: int = Field(default=24 * 3600, ge=60, le=604_800)
    """Life of a presigned address; S3 refuses more than a week."""

    cloudinary_url: SecretStr | None = None
    """``cloudinary://<API key>:<API secret>@<cloud name>``."""
    cloudinary_api_base: str | None = None
    """Another address of its API: a region's, or a stand-in's, whose pictures are served under ``/uploads``."""

    @model_validator(mode="after")
    def _cloudinary_needs_an_account(self) -> Self:
        if self.storage_backend == "cloudinary":
            if self.cloudinary_url is None:
                raise ValueError("CLOUDINARY_URL is required when STORAGE_BACKEND is cloudinary")
            try:
                CloudinaryAccount.of(self.cloudinary_url.get_secret_value())
            except ValueError as error:
                raise ValueError(f"CLOUDINARY_URL {error}") from None
        return self

    @model_validator(mode="after")
    def _s3_needs_a_bucket(self) -> Self:
        if self.storage_backend == "s3" and not self.aws_s3_bucket_name:
            raise ValueError("AWS_S3_BUCKET_NAME is required when STORAGE_BACKEND is s3")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY come together")
        return self

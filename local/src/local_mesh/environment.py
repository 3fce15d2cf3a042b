"""What each process finds in its environment: the shell wins over ``.env``, and that over local defaults."""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from local_mesh.folders import Folders
from local_mesh.launch import replace_text
from local_mesh.problems import StartError
from local_mesh.processes import (
    AUTH,
    COIN,
    GATEWAY,
    IMAGE,
    MONGOD,
    PROCESSES,
    SANDBOX,
    SUBSCRIPTION,
    USER,
    Ports,
    Process,
)
from local_mesh.vendors import GOOGLE_PLAY, STRIPE, VENDORS, stand_ins

GENERATED_SECRETS = ("JWT_SECRET", "SERVICE_SECRET", STRIPE.webhook_variable)

LOCAL_DEFAULTS = {
    "ENVIRONMENT": "development",
    "BCRYPT_ROUNDS": "10",
    "LOGIN_FAILURES_PER_ADDRESS": "10000",
    "REGISTRATIONS_PER_ADDRESS": "10000",
    "GOOGLE_PLAY_PACKAGES": "com.example.app,com.pixelmint.app",
    "LEASE_SECONDS": "10",
    "RECOVERY_INTERVAL_SECONDS": "1",
}
"""Generous, so that nobody meets a limit by clicking or by running tests from one address; and the picture of an image
service that was killed at it does not take half a minute more."""

_SERVICES = frozenset(process.name for process in (AUTH, USER, COIN, IMAGE, SUBSCRIPTION))

SEEN_ONLY_BY: Mapping[str, frozenset[str]] = {
    "MONGO_URI": _SERVICES,
    "JWT_SECRET": _SERVICES | {GATEWAY.name},
    "JWT_PRIVATE_KEY": frozenset({AUTH.name}),
    "SERVICE_SECRET": _SERVICES,
    "SMTP_URL": frozenset({AUTH.name}),
    "STABILITY_API_KEY": frozenset({IMAGE.name}),
    "STRIPE_SECRET_KEY": frozenset({COIN.name}),
    STRIPE.webhook_variable: frozenset({COIN.name}),
    "GOOGLE_APPLICATION_CREDENTIALS": frozenset({SUBSCRIPTION.name, COIN.name}),
    "AWS_ACCESS_KEY_ID": frozenset({IMAGE.name}),
    "AWS_SECRET_ACCESS_KEY": frozenset({IMAGE.name}),
    "AWS_SESSION_TOKEN": frozenset({IMAGE.name}),
    "CLOUDINARY_URL": frozenset({IMAGE.name}),
    "REDIS_URL": frozenset({GATEWAY.name, AUTH.name}),
}
"""Who is given a secret; everything else that looks like one stays with the user's shell."""

_LOOKS_SECRET = re.compile(r"(SECRET|TOKEN|PASSWORD|CREDENTIALS|_KEY|_KEY_ID)$")
_NOT_FOR_CHILDREN = re.compile(r"(PORT|HOST|PORT_BASE|MAKE.*|MFLAGS|VIRTUAL_ENV|_)$")
_FOR_MONGOD = re.compile(r"(PATH|HOME|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|DOCKER_.*)$")
_PLACEHOLDER = re.compile(r"(change[-_]?me|your[-_])", re.IGNORECASE)


def read_settings(env_file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Lay the shell's environment over ``.env``; what is empty or a placeholder counts as not set."""
    from_file = {name: value or "" for name, value in dotenv_values(env_file, interpolate=False).items()}
    settings = from_file | {name: value for name, value in environ.items() if value}
    return {name: value for name, value in settings.items() if value and not _PLACEHOLDER.match(value)}


def ensure_secrets(file: Path) -> dict[str, str]:
    """Return the secrets of this checkout; made once, readable by the user alone."""
    kept = {name: value for name, value in dotenv_values(file, interpolate=False).items() if value}
    values = {name: kept.get(name) or secrets.token_urlsafe(48) for name in GENERATED_SECRETS}
    if values != kept:
        replace_text(file, "".join(f"{name}={value}\n" for name, value in values.items()), mode=0o600)
    return values


def complete(settings: Mapping[str, str], *, folders: Folders, ports: Ports, mongo_uri: str) -> dict[str, str]:
    """Add to ``settings`` what a local run decides by itself.

    Raises:
        StartError: The file of Google's credentials does not exist.
    """
    values = LOCAL_DEFAULTS | {
        "PUBLIC_URL": ports.public_url,
        "STORAGE_BACKEND": "s3" if settings.get("AWS_S3_BUCKET_NAME") else "local",
        "UPLOADS_DIR": str(folders.uploads),
    }
    if "NODE_ENV" in settings:
        del values["ENVIRONMENT"]
    generated = ensure_secrets(folders.data / "secrets.env")
    if STRIPE.is_real(settings):  # only Stripe itself knows what it signs with
        del generated[STRIPE.webhook_variable]
    values |= generated | dict(settings)
    for name in ("UPLOADS_DIR", GOOGLE_PLAY.credential):
        if name in values:  # the processes run elsewhere: a path counts from the checkout
            values[name] = str(folders.root / Path(values[name]).expanduser())
    if GOOGLE_PLAY.is_real(values) and not Path(values[GOOGLE_PLAY.credential]).is_file():
        raise StartError(
            f"{GOOGLE_PLAY.credential} names {values[GOOGLE_PLAY.credential]}, which does not exist: "
            "name the service account's file, or leave the variable empty to use the sandbox"
        )
    sandbox_credentials = folders.data / "sandbox-service-account.json"
    values |= {"MONGO_URI": mongo_uri, "SANDBOX_CREDENTIALS_FILE": str(sandbox_credentials)}
    values |= {f"{process.name.upper()}_URL": ports.url(process) for process in PROCESSES if process.module}
    return values | stand_ins(settings, ports.url(SANDBOX), sandbox_credentials)


def environment_of(process: Process, values: Mapping[str, str], ports: Ports) -> dict[str, str]:
    """Return all that ``process`` will find in its environment, no other's secrets among it."""
    if process is MONGOD:
        return {name: value for name, value in values.items() if _FOR_MONGOD.match(name)}
    environment = {name: value for name, value in values.items() if _may_see(process, name)}
    environment |= {"PORT": str(ports.of(process)), "PYTHONUNBUFFERED": "1", "HOST": "127.0.0.1"}
    if process is GATEWAY and "HOST" in values:
        environment["HOST"] = values["HOST"]
    if process is SANDBOX:
        signs = (vendor.webhook_variable for vendor in VENDORS if vendor.is_stood_in_for(values))
        environment |= {name: values[name] for name in signs if name in values}
    return environment


def _may_see(process: Process, name: str) -> bool:
    if name in SEEN_ONLY_BY:
        return process.name in SEEN_ONLY_BY[name]
    return not _LOOKS_SECRET.search(name) and not _NOT_FOR_CHILDREN.fullmatch(name)

"""The vendors, and how the sandbox stands in for one without credentials."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vendor:
    """One vendor; with ``credential`` set it is the real one."""

    name: str
    credential: str
    base: str
    """The variable that holds the address of its API."""

    key: str = ""
    """What the sandbox is sent as the credential; empty where the vendor wants a file."""

    webhook_variable: str = ""
    """The variable that holds what its webhooks are signed with; the sandbox signs with it when it stands in."""

    def is_real(self, settings: Mapping[str, str]) -> bool:
        """Whether the user's own settings hold its credential."""
        return bool(settings.get(self.credential))

    def is_stood_in_for(self, values: Mapping[str, str]) -> bool:
        """Whether the completed values hold the sandbox's key."""
        return bool(self.key) and values.get(self.credential) == self.key


STABILITY = Vendor("Stability AI", "STABILITY_API_KEY", "STABILITY_API_BASE", key="sk-sandbox-0000000000000000")
STRIPE = Vendor(
    "Stripe",
    "STRIPE_SECRET_KEY",
    "STRIPE_API_BASE",
    key="sk_test_sandbox0000000000000000",
    webhook_variable="STRIPE_WEBHOOK_SECRET",
)
CLOUDINARY = Vendor(
    "Cloudinary",
    "CLOUDINARY_URL",
    "CLOUDINARY_API_BASE",
    key="cloudinary://sandbox:sandbox-secret@pixelmint",
)
"""Asked only where the pictures are to be stored with it."""
GOOGLE_PLAY = Vendor("Google Play", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_PLAY_API_BASE")

ADMOB_KEYS_URL = "ADMOB_KEYS_URL"
"""AdMob wants no credential: whose ads are believed is told by this address alone."""

ADMOB_KEYS_PATH = "/admob/reward/verifier-keys.json"

GOOGLE_CERTS_URL = "GOOGLE_CERTS_URL"
"""Whose signatures on Google Play's notifications are believed."""

GOOGLE_CERTS_PATH = "/oauth2/v1/certs"

GOOGLE_PLAY_PUSHES = {
    "GOOGLE_PLAY_PUSH_AUDIENCE": "pixelmint-sandbox",
    "GOOGLE_PLAY_PUSH_EMAIL": "push@pixelmint-sandbox.iam.gserviceaccount.com",
}
"""What the sandbox's notifications say of themselves, and what the services ask of them."""

VENDORS = (STABILITY, STRIPE, GOOGLE_PLAY)


def vendors_of(settings: Mapping[str, str]) -> tuple[Vendor, ...]:
    """Return the vendors that these settings need."""
    return (*VENDORS, CLOUDINARY) if settings.get("STORAGE_BACKEND") == "cloudinary" else VENDORS


def stand_ins(settings: Mapping[str, str], sandbox_url: str, credentials_file: Path) -> dict[str, str]:
    """Return the variables that point every vendor without credentials at the sandbox."""
    values = {ADMOB_KEYS_URL: f"{sandbox_url}{ADMOB_KEYS_PATH}"}
    if not GOOGLE_PLAY.is_real(settings):
        values |= {GOOGLE_CERTS_URL: f"{sandbox_url}{GOOGLE_CERTS_PATH}"} | GOOGLE_PLAY_PUSHES
    values = {name: settings.get(name) or value for name, value in values.items()}
    for vendor in vendors_of(settings):
        if not vendor.is_real(settings):
            values[vendor.credential] = vendor.key or str(credentials_file)
            values[vendor.base] = sandbox_url
    return values

"""The vendors that the service asks, opened from its settings."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass

import httpx

from coin_service.providers.admob_keys import AdKeyServer
from coin_service.providers.google_play import GooglePlayProvider
from coin_service.providers.http import open_vendor_client
from coin_service.providers.stripe_api import API_VERSION, StripeApi
from coin_service.settings import Settings
from common.google import ANDROID_PUBLISHER_SCOPE, GoogleCredentials
from common.google_push import GoogleCertificates, PushVerifier


@dataclass(frozen=True, slots=True)
class Roads:
    """Ways to the others, where they are not the network."""

    auth: httpx.AsyncBaseTransport | None = None
    stripe: httpx.AsyncBaseTransport | None = None
    google: httpx.AsyncBaseTransport | None = None
    google_tokens: httpx.BaseTransport | None = None
    admob: httpx.AsyncBaseTransport | None = None
    certs: httpx.AsyncBaseTransport | None = None


@dataclass(frozen=True, slots=True)
class Vendors:
    """All of them; one that is not configured says so when it is asked."""

    stripe: StripeApi
    play: GooglePlayProvider
    play_configured: bool
    """There is a service account to ask Google Play as."""
    ad_keys: AdKeyServer
    pushes: PushVerifier | None
    """``None`` where no push subscription is configured."""


@asynccontextmanager
async def open_vendors(settings: Settings, roads: Roads) -> AsyncIterator[Vendors]:
    """Open a client for each vendor; their connections close at the end.

    Raises:
        GoogleCredentialsError: The service account's key file cannot be used.
    """
    timeout_seconds = settings.provider_timeout_seconds
    async with (
        _stripe_client(settings, roads.stripe) as stripe,
        open_vendor_client(
            settings.google_play_api_base, timeout_seconds=timeout_seconds, transport=roads.google
        ) as google,
        _google_credentials(settings, roads.google_tokens) as credentials,
        open_vendor_client(settings.admob_keys_url, timeout_seconds=timeout_seconds, transport=roads.admob) as admob,
        open_vendor_client(settings.google_certs_url, timeout_seconds=timeout_seconds, transport=roads.certs) as certs,
    ):
        yield Vendors(
            stripe=_stripe_api(settings, stripe),
            play=_google_play(settings, google, credentials),
            play_configured=credentials is not None,
            ad_keys=AdKeyServer(admob, settings.admob_keys_url),
            pushes=_push_verifier(settings, certs),
        )


def _stripe_client(
    settings: Settings, transport: httpx.AsyncBaseTransport | None
) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    headers = {"Stripe-Version": API_VERSION}
    if settings.stripe_secret_key is not None:
        headers["Authorization"] = f"Bearer {settings.stripe_secret_key.get_secret_value()}"
    return open_vendor_client(
        settings.stripe_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
        headers=headers,
        transport=transport,
    )


def _stripe_api(settings: Settings, client: httpx.AsyncClient) -> StripeApi:
    return StripeApi(
        client,
        livemode=settings.is_production,
        total_seconds=settings.provider_total_seconds,
        configured=settings.stripe_secret_key is not None,
    )


@asynccontextmanager
async def _google_credentials(
    settings: Settings, transport: httpx.BaseTransport | None
) -> AsyncIterator[GoogleCredentials | None]:
    if settings.google_application_credentials is None:
        yield None
        return
    key_file = settings.google_application_credentials
    with closing(GoogleCredentials.from_file(key_file, [ANDROID_PUBLISHER_SCOPE], transport=transport)) as credentials:
        yield credentials


def _google_play(
    settings: Settings, client: httpx.AsyncClient, credentials: GoogleCredentials | None
) -> GooglePlayProvider:
    return GooglePlayProvider(
        client,
        credentials,
        package=next(iter(settings.google_play_packages), None),
        products=settings.google_play_products,
        accepts_test_purchases=settings.accepts_test_purchases,
        total_seconds=settings.provider_total_seconds,
    )


def _push_verifier(settings: Settings, client: httpx.AsyncClient) -> PushVerifier | None:
    audience, email = settings.google_play_push_audience, settings.google_play_push_email
    if audience is None or email is None:
        return None
    return PushVerifier(GoogleCertificates(client, settings.google_certs_url), audience=audience, email=email)

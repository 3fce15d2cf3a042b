"""HTTP of what can be ordered, and what it would cost."""

from common.auth import CurrentUserDep
from common.errors import (
    InvalidTokenError,
    ServiceUnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
    ValidationFailedError,
    responses,
)
from common.routing import json_router
from common.schemas import Envelope, ok
from image_service.dependencies import ProviderDep, QuotesDep
from image_service.options_schemas import OptionsRead, QuoteRead
from image_service.schemas import GenerateRequest

router = json_router(prefix="/api/image", tags=["image"])


@router.get("/options", responses=responses(InvalidTokenError))
async def options(_: CurrentUserDep, provider: ProviderDep, quotes: QuotesDep) -> Envelope[OptionsRead]:
    """Show what the configured engine draws, within which limits, and what it costs."""
    engine, price, daily_images = provider.capabilities, quotes.coins_per_image, quotes.daily_images
    return ok(OptionsRead.of(engine, coins_per_image=price, daily_images=daily_images))


@router.post(
    "/quote",
    responses=responses(
        InvalidTokenError, ValidationFailedError, UpstreamError, ServiceUnavailableError, UpstreamTimeoutError
    ),
)
async def quote(
    body: GenerateRequest, user: CurrentUserDep, provider: ProviderDep, quotes: QuotesDep
) -> Envelope[QuoteRead]:
    """Say what an order would cost, and whether it can be paid; nothing is drawn or set aside."""
    order = body.to_order(cfg_scale=provider.capabilities.default_cfg_scale)
    return ok(QuoteRead.of(await quotes.quote(user.id, order)))

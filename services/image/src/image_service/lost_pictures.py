"""Pictures that have been missing for too long: paid back, then taken out of their users' lists."""

from datetime import timedelta

from common.clients.auth import AccountNotFoundError
from common.clients.coin import (
    CoinClient,
    HoldNotCapturedError,
    HoldNotFoundError,
    HoldResolvedError,
    RefundTooLargeError,
)
from common.clock import utc_now
from common.logging import get_logger
from image_service.models import Image
from image_service.remains import RETRY_SECONDS
from image_service.storage import Storage, is_there
from image_service.storage_metrics import LOST
from image_service.store.images import ImageStore
from image_service.store.missing import MissingStore

logger = get_logger(__name__)

PICTURES_A_TURN = 20
"""So that nothing that goes wrong here goes wrong for everybody at once."""


class LostPictures:
    """Gives pictures up, in steps each of which may be repeated: decide, refund, take out.

    The decision is a compare-and-set, and stands: a picture is never refunded and shown. The refund has a key of its
    own, so that it is made once. A picture that a subscription covered has nothing to refund. What stays is the
    picture's document, with ``missing_since``, ``lost_at`` and ``refunded_coins``.
    """

    name = "lost"

    def __init__(
        self, storage: Storage, missing: MissingStore, images: ImageStore, coins: CoinClient, *, missing_hours: float
    ) -> None:
        self._storage = storage
        self._missing = missing
        self._images = images
        self._coins = coins
        self._patience = timedelta(hours=missing_hours)

    async def sweep(self, _: str | None) -> None:
        """Give up what is overdue, and end what was begun.

        Raises:
            ServiceError: The storage or the coin service is away; the rest is for the next turn.
        """
        before = utc_now() - self._patience
        for image in await self._missing.find_overdue(before, limit=PICTURES_A_TURN):
            if not await is_there(self._storage, image.file):
                await self._missing.set_lost(image.id, before)
        for image in await self._missing.find_lost(limit=PICTURES_A_TURN):
            if await self._refund(image):
                await self._images.delete(image.user_id, image.id, retry_seconds=RETRY_SECONDS)
                LOST.inc()
                logger.error("a lost picture is given up", image_id=image.id, refunded_coins=image.coins_used)

    async def _refund(self, image: Image) -> bool:
        if not image.coins_used:
            return True
        try:
            await self._coins.refund(image.user_id, image.coins_used, hold_key=image.coin_key, key=f"lost:{image.id}")
        except AccountNotFoundError:
            return True  # nobody is left to give anything back to
        except (HoldNotFoundError, HoldNotCapturedError, HoldResolvedError, RefundTooLargeError) as error:
            # Paid for and not taken, or given back twice: somebody must look into it before the picture goes.
            logger.critical("a lost picture cannot be refunded", image_id=image.id, key=image.coin_key, code=error.code)
            await self._missing.set_refused(image.id, error.code)
            return False
        await self._missing.set_refunded(image.id, image.coins_used)
        return True

"""Google Play's notifications, pushed by Pub/Sub: taken in once they are proven, worked off from Google's list."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from coin_service.errors import InvalidSignatureError, WebhooksNotConfiguredError
from coin_service.inbox import InboxStore, Message
from coin_service.inbox_worker import PostponedError
from coin_service.play_voids import PlayVoids
from common.clock import utc_now
from common.errors import ServiceUnavailableError
from common.google_push import CertificatesUnavailableError, InvalidPushTokenError, PushVerifier
from common.logging import get_logger

logger = get_logger(__name__)

VOIDED = "voidedPurchaseNotification"
ONE_TIME = 2
LOOK_BACK_SECONDS = 7 * 86_400.0
"""Pub/Sub repeats a message for a week at most."""

_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,255}")
_TYPE = re.compile(r"[A-Za-z]{1,60}Notification")

AGAIN_SECONDS = 600.0
GIVE_UP_SECONDS = 86_400.0
"""A purchase that is not on the list by then was not voided; should it be later, the sweeper sees it."""


class PlayEvents:
    """A notification only says where to look: that a purchase is void, Google's own list must say."""

    def __init__(
        self,
        inbox: InboxStore,
        voids: PlayVoids,
        verifier: PushVerifier | None,
        *,
        package: str | None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._inbox = inbox
        self._voids = voids
        self._verifier = verifier
        self._package = package
        self._now = now

    async def receive(self, body: bytes, authorization: str) -> bool:
        """Take a push in; ``False`` if there is nothing new in it. What cannot be read would only be pushed again.

        Raises:
            WebhooksNotConfiguredError: Nothing can be proven here.
            InvalidSignatureError: It is not from our push subscription.
            ServiceUnavailableError: Google's certificates cannot be had.
        """
        if self._verifier is None:
            raise WebhooksNotConfiguredError
        try:
            await self._verifier.verify(authorization)
        except InvalidPushTokenError as error:
            raise InvalidSignatureError from error
        except CertificatesUnavailableError as error:
            raise ServiceUnavailableError from error
        message_id, notification = read_push(body)
        if message_id is None:
            logger.warning("push cannot be read", size=len(body))
            return False
        type_ = next((name for name in notification if _TYPE.fullmatch(name)), "unknown")
        return await self._inbox.add("google_play", message_id, type_, notification)

    async def handle(self, message: Message) -> None:
        """Take back what a notification says is void, if Google's list says so too; others are nothing to us."""
        notification = message.content
        voided = notification.get(VOIDED)
        if notification.get("packageName") != self._package or not isinstance(voided, dict):
            return
        token = voided.get("purchaseToken")
        if voided.get("productType") != ONE_TIME or not isinstance(token, str):
            return
        listed = await self._voids.voided_since(message.received_at - timedelta(seconds=LOOK_BACK_SECONDS))
        if token in listed:
            await self._voids.take_back(token, listed[token])
        elif (self._now() - message.received_at).total_seconds() < GIVE_UP_SECONDS:
            raise PostponedError(seconds=AGAIN_SECONDS)


def read_push(body: bytes) -> tuple[str | None, dict[str, Any]]:
    """Return a push's message id and notification; no id if it is none."""
    try:
        push = json.loads(body)
        message_id = push["message"]["messageId"]
        notification = json.loads(base64.b64decode(push["message"]["data"], validate=True))
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return None, {}
    if not isinstance(message_id, str) or not _MESSAGE_ID.fullmatch(message_id):
        return None, {}
    return (message_id, notification) if isinstance(notification, dict) else (None, {})

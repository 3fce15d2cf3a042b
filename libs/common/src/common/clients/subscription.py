"""The subscription service as others see it."""

from datetime import datetime

from common.http import ServiceClient, path_segment
from common.schemas import ReadModel, Timestamp

READ_SCOPE = "subscription:read"


class Entitlement(ReadModel):
    """Whether a user's subscription covers generation, and until when that is known to hold."""

    active: bool
    until: Timestamp | None

    def covers(self, moment: datetime) -> bool:
        """Whether it covers ``moment``."""
        return self.active and self.until is not None and moment < self.until


class SubscriptionClient(ServiceClient):
    """Reads only."""

    service = "subscription"

    async def entitlement(self, user_id: str) -> Entitlement:
        path = f"/internal/entitlements/{path_segment(user_id)}"
        answer = await self._call("GET", path, scope=READ_SCOPE, attempts=2, timeout_seconds=4.0)
        return self._parse(Entitlement, answer)

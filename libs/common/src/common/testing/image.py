"""An image service in memory that speaks its internal HTTP, for tests of the services that call it."""

import httpx

from common.clients.image import GenerationDecision, GenerationNotFoundError, ImageClient
from common.errors import error_body
from common.service_auth import ServiceTokenSigner
from common.testing.apps import TEST_SECRETS


class FakeImage:
    """Knows what was decided of generations.

    Attributes:
        decisions: By the generation's id.
        away: Nobody listens while this is set.
    """

    def __init__(self) -> None:
        self.decisions: dict[str, GenerationDecision] = {}
        self.away = False

    def client(self) -> ImageClient:
        """Return a real client that asks this service."""
        http = httpx.AsyncClient(transport=self.transport(), base_url="http://image.test")
        return ImageClient(http, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="test"))

    def transport(self) -> httpx.MockTransport:
        """Return what carries requests to this service."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        found = self.decisions.get(request.url.path.removeprefix("/internal/generations/"))
        if found is None:
            error = GenerationNotFoundError()
            return httpx.Response(error.status, json=error_body(error.code, error.message, None, "test"))
        return httpx.Response(200, json={"success": True, "data": found.model_dump(mode="json", by_alias=True)})

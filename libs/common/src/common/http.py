"""HTTP between services: bounded waits, service tokens, and errors that keep their class."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from common.errors import ServiceError, ServiceUnavailableError, UpstreamError, UpstreamTimeoutError
from common.logging import get_logger
from common.request_id import REQUEST_ID_HEADER, TRACEPARENT_HEADER, current_request_id, next_traceparent
from common.service_auth import ServiceTokenSigner
from common.settings import ServiceSettings

logger = get_logger(__name__)

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_CONNECTIONS = 64
CALL_SECONDS = 9.0
"""All tries of one call together; less than the gateway's 10 s, so that our own error arrives in time."""

KEEP_ALIVE_SECONDS = 30
"""Less than a server keeps an idle connection, so that no request is sent into a closing one."""


class _Transport(httpx.AsyncHTTPTransport):
    """Says of a connection that was reset as soon as it was made what httpx itself does not."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            # uvloop has taken its socket away when httpcore asks anyio about it; nothing has been sent yet.
            raise httpx.ConnectError("reset while connecting", request=request) from error


@asynccontextmanager
async def open_http_client(
    base_url: str,
    *,
    timeout_seconds: float,
    connect_timeout_seconds: float = 2.0,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Open the one client of an upstream: never without a timeout, follows no redirect, keeps no cookie."""
    limits = httpx.Limits(
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_CONNECTIONS,
        keepalive_expiry=KEEP_ALIVE_SECONDS,
    )
    client = httpx.AsyncClient(
        base_url=base_url,
        headers=headers,
        timeout=httpx.Timeout(timeout_seconds, connect=connect_timeout_seconds),
        follow_redirects=False,
        trust_env=False,
        transport=transport or _Transport(limits=limits, trust_env=False),
    )
    async with client:
        yield client


@asynccontextmanager
async def open_service_client(
    base_url: str, settings: ServiceSettings, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Open the client of another service of the mesh, with this service's timeouts."""
    async with open_http_client(
        base_url,
        timeout_seconds=settings.http_timeout_seconds,
        connect_timeout_seconds=settings.http_connect_timeout_seconds,
        transport=transport,
    ) as client:
        yield client


class BodyTooLargeError(Exception):
    """A body is longer than its reader allows; the rest of it was not read."""


async def read_capped(response: httpx.Response, max_bytes: int) -> bytes:
    """Read the body of a streamed answer, unpacked where it came packed.

    Raises:
        BodyTooLargeError: It has more than ``max_bytes``, whatever ``Content-Length`` says.
        httpx.HTTPError: It broke off.
    """
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLargeError(f"more than {max_bytes} bytes")
    return bytes(body)


def path_segment(text: str) -> str:
    """Encode ``text`` so that it stays one segment of a path, whatever a client put into it."""
    return quote(text, safe="")


class ServiceClient:
    """Calls one other service; a subclass states its name and the errors that cross back as themselves."""

    service: ClassVar[str]
    raises: ClassVar[tuple[type[ServiceError], ...]] = ()

    def __init__(self, client: httpx.AsyncClient, signer: ServiceTokenSigner) -> None:
        self._client = client
        self._signer = signer

    async def _call(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        body: BaseModel | None = None,
        attempts: int = 3,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Make one call and return ``data`` of the answer.

        Args:
            method: Of HTTP.
            path: Below the service's address; segments already encoded.
            scope: What the token is good for.
            body: Sent as JSON.
            attempts: How often it may be sent; more than one only for calls that are safe to repeat (reads, and
                writes under a key).
            timeout_seconds: For each try, if the client's own does not fit.

        Raises:
            ServiceError: One of ``raises``, as the other service meant it.
            UpstreamError: It answered what we cannot use.
            ServiceUnavailableError: It is away.
            UpstreamTimeoutError: The outcome is unknown.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            retry=retry_if_exception_type((ServiceUnavailableError, UpstreamTimeoutError)),
            reraise=True,
        )
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await retrying(self._send, method, path, scope, body, timeout_seconds)
        except TimeoutError as error:
            raise UpstreamTimeoutError from error

    async def _send(
        self, method: str, path: str, scope: str, body: BaseModel | None, timeout_seconds: float | None
    ) -> Any:
        headers = {
            "Authorization": f"Bearer {self._signer.sign(audience=self.service, scope=scope)}",
            REQUEST_ID_HEADER: current_request_id(),
            TRACEPARENT_HEADER: next_traceparent(),
        }
        arguments: dict[str, Any] = {"headers": headers}
        if body is not None:
            arguments["json"] = body.model_dump(mode="json", by_alias=True)
        if timeout_seconds is not None:
            arguments["timeout"] = timeout_seconds
        try:
            response = await self._client.request(method, path, **arguments)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ServiceUnavailableError from error
        except httpx.TimeoutException as error:
            raise UpstreamTimeoutError from error
        except httpx.HTTPError as error:
            # The connection broke after the request may have been read: unknown, like a timeout.
            raise UpstreamTimeoutError from error
        return self._read(response)

    def _read(self, response: httpx.Response) -> Any:
        try:
            answer = response.json()
        except ValueError as error:
            raise UpstreamError from error
        if not isinstance(answer, dict):
            raise UpstreamError
        if response.is_success and "data" in answer:
            return answer["data"]
        code = answer.get("code")
        for known in self.raises:
            if code == known.code:
                raise known(answer.get("message"), details=answer.get("details"))
        logger.error("service refused a call", upstream=self.service, status=response.status_code, code=code)
        if response.status_code == ServiceUnavailableError.status:
            raise ServiceUnavailableError
        if response.status_code == UpstreamTimeoutError.status:
            raise UpstreamTimeoutError
        raise UpstreamError

    @staticmethod
    def _parse(model: type[ModelT], data: Any) -> ModelT:
        """Read an answer; what does not fit is the other service's fault."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise UpstreamError from error

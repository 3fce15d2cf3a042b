"""What stands before every service: the route, the token, the limits; and what a failure is answered with."""

import time
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from common.errors import InternalError, PayloadTooLargeError, ServiceError, ServiceUnavailableError
from common.logging import get_logger
from gateway_service.answers import NOSNIFF, Header, send_empty, send_error
from gateway_service.client_address import TrustedProxies
from gateway_service.cors import CorsPolicy
from gateway_service.exchange import ClientGoneError, Exchange
from gateway_service.heads import RequestHead
from gateway_service.identity import Identity
from gateway_service.pool import UpstreamPool
from gateway_service.routing import find_route, route_name

logger = get_logger(__name__)


class Proxy:
    """The ASGI application behind ``/api/`` and ``/uploads/``.

    Args:
        pools: Connections to the services, for requests that are answered as soon as may be.
        following: The same for those that wait for something to happen; their number is bounded by these pools alone.
        identity: Checks tokens.
        cors: Which web pages may call.
        proxies: Whose ``X-Forwarded-*`` are believed.
        max_body_bytes: Of a request.
        max_requests: Being forwarded at once.
        timeout_seconds: To the first byte of an answer.
        slow_timeout_seconds: The same on routes that take their time.
    """

    def __init__(
        self,
        pools: Mapping[str, UpstreamPool],
        following: Mapping[str, UpstreamPool],
        *,
        identity: Identity,
        cors: CorsPolicy,
        proxies: TrustedProxies,
        max_body_bytes: int,
        max_requests: int,
        timeout_seconds: float,
        slow_timeout_seconds: float,
    ) -> None:
        self._pools = pools
        self._following = following
        self._identity = identity
        self._cors = cors
        self._proxies = proxies
        self._max_body_bytes = max_body_bytes
        self._free = max_requests
        self._timeout_seconds = timeout_seconds
        self._slow_timeout_seconds = slow_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(scope)
        origin = head.get(b"origin")
        if head.method == "OPTIONS" and origin is not None and head.get(b"access-control-request-method"):
            await send_empty(send, head.request_id, extra=self._cors.preflight(origin))
            return
        exchange = Exchange(scope, receive, send, head, max_body_bytes=self._max_body_bytes)
        cors = self._cors.headers(origin)
        started = time.perf_counter()
        status = 0
        try:
            await self._forward(scope, head, exchange, cors)
        except ClientGoneError:
            logger.info("client gone", method=head.method, path=scope["path"])
        except Exception as error:  # whatever it is, the client gets the one failure body, or a broken connection
            known = error if isinstance(error, ServiceError) else InternalError()
            if known.status >= 500:
                logger.warning(
                    "answer broken off" if exchange.started else "not forwarded",
                    code=known.code,
                    method=head.method,
                    path=scope["path"],
                    exc_info=None if known is error else error,
                )
            # uvicorn closes the connection where an answer was begun and not ended: no client takes it for whole.
            if not exchange.started:
                status = int(known.status)
                await send_error(send, known, head.request_id, extra=self._error_headers(head, cors))
        finally:
            # The prefix, not the path: the name of an upload is all that keeps it private.
            logger.info(
                "request",
                method=head.method,
                route=route_name(scope["raw_path"]),
                status=exchange.status or status,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
            )

    async def _forward(self, scope: Scope, head: RequestHead, exchange: Exchange, cors: list[Header]) -> None:
        route = find_route(head.method, scope["raw_path"])
        if not route.public:
            self._identity.user(head.authorizations)
        if head.length > self._max_body_bytes:
            raise PayloadTooLargeError
        timeout_seconds = self._slow_timeout_seconds if route.slow else self._timeout_seconds
        extra = [(b"x-request-id", head.request_id.encode()), NOSNIFF, *cors]
        if head.method in route.following:
            pool = self._following[route.upstream]
            await exchange.run(pool, self._proxies, timeout_seconds=timeout_seconds, extra=extra)
            return
        if self._free <= 0:
            raise ServiceUnavailableError
        self._free -= 1
        try:
            pool = self._pools[route.upstream]
            await exchange.run(pool, self._proxies, timeout_seconds=timeout_seconds, extra=extra)
        finally:
            self._free += 1

    @staticmethod
    def _error_headers(head: RequestHead, cors: list[Header]) -> list[Header]:
        if head.get(b"expect") is None:
            return cors
        # A client that waited for our "continue" may send its body now or not; we could not tell the two apart.
        return [*cors, (b"connection", b"close")]

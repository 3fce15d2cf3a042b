"""What every route of a user's own wallet has in common."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from common.clients.auth import AccountNotFoundError
from common.errors import InvalidTokenError
from common.routing import JsonRoute


class WalletRoute(JsonRoute):
    """Answers 401 where the wallet's account is gone: a token that outlived its account is not valid any more."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def owned(request: Request) -> Response:
            try:
                return await handler(request)
            except AccountNotFoundError as error:
                raise InvalidTokenError from error

        return owned

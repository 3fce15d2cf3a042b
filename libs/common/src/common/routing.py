"""Routers whose routes take JSON and say so."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from common.errors import BadRequestError, UnsupportedMediaTypeError, ValidationFailedError


class JsonRoute(APIRoute):
    """Answers 415 to a body that is not declared as JSON, instead of a puzzling list of missing fields."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def checked(request: Request) -> Response:
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != "application/json" and not (
                media_type.startswith("application/") and media_type.endswith("+json")
            ):
                raise UnsupportedMediaTypeError
            if request.headers.get("content-encoding", "identity").lower() != "identity":
                raise UnsupportedMediaTypeError("Compressed requests are not accepted.")
            try:
                return await handler(request)
            except HTTPException as error:
                # Python reads no number of thousands of digits and no endless brackets; FastAPI calls that a bare 400.
                if error.status_code == BadRequestError.status and isinstance(
                    error.__cause__, ValueError | RecursionError
                ):
                    raise ValidationFailedError.of("body", "is not valid JSON") from error
                raise

        return checked


def json_router(*, prefix: str, tags: list[str], route_class: type[JsonRoute] = JsonRoute) -> APIRouter:
    """Make a router for routes whose bodies are JSON."""
    return APIRouter(prefix=prefix, tags=list(tags), route_class=route_class)

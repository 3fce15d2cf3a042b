"""Turn whatever a route raises into the wire's failure body."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from common.errors import (
    BY_STATUS,
    InternalError,
    ServiceError,
    ServiceUnavailableError,
    ValidationFailedError,
    error_body,
)
from common.logging import get_logger
from common.request_id import current_request_id

logger = get_logger(__name__)


def error_response(error: ServiceError) -> JSONResponse:
    """Answer with an error's status, body and headers."""
    body = error_body(error.code, error.message, error.details, current_request_id())
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def validation_error(problems: list[dict[str, Any]]) -> ValidationFailedError:
    """Name the fields that are wrong; the input itself is never echoed (a NaN sent back would be a 500)."""
    details = [{"field": _field(problem["loc"]), "message": _message(problem)} for problem in problems]
    names = ", ".join(dict.fromkeys(detail["field"] for detail in details))
    return ValidationFailedError(f"Please check: {names}.", details=details)


def _field(location: tuple[int | str, ...]) -> str:
    # Where the JSON itself is broken, FastAPI puts the byte's position behind "body".
    if len(location) > 1 and location[0] in ("body", "query", "path", "header") and not isinstance(location[1], int):
        location = location[1:]
    elif location[:1] == ("body",):
        location = location[:1]
    return ".".join(str(part) for part in location)[:200]


def _message(problem: dict[str, Any]) -> str:
    if problem["type"] == "json_invalid":
        return "is not valid JSON"
    return str(problem["msg"]).removeprefix("Value error, ")


def _cause(error: ServiceError) -> str | None:
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        # Its own words quote the answer that did not fit: somebody's secret, e-mail or prompt.
        problems = (f"{_field(problem['loc'])} {problem['type']}" for problem in cause.errors(include_input=False))
        return f"{cause.title}: {', '.join(problems)}"
    return repr(cause) if cause else None


def add_error_handlers(app: FastAPI, *, database_unavailable: Iterable[type[Exception]] = ()) -> None:
    """Give every failure of ``app`` the same body.

    Args:
        app: Whose.
        database_unavailable: What the driver raises while the database is away; the gateway has none.
    """

    async def on_service_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ServiceError)  # noqa: S101 - narrows the type Starlette leaves open
        if error.status >= 500:
            logger.warning("request failed", code=error.code, cause=_cause(error))
        return error_response(error)

    async def on_http_exception(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        known = BY_STATUS.get(error.status_code, InternalError if error.status_code >= 500 else BY_STATUS[400])
        body = error_body(known.code, known.message, None, current_request_id())
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    async def on_validation_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        return error_response(validation_error(list(error.errors())))

    async def on_database_error(_: Request, error: Exception) -> JSONResponse:
        logger.error("database unavailable", error=type(error).__name__)
        return error_response(ServiceUnavailableError())

    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    for database_error in database_unavailable:
        app.add_exception_handler(database_error, on_database_error)

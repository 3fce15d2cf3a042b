"""The contract's conventions, checked on every answer a journey reads."""

import re
from collections.abc import Iterator
from typing import Any

import httpx

Json = dict[str, Any]

ERROR_KEYS = {"success", "code", "message", "details", "requestId"}
PAGINATION_KEYS = {"page", "limit", "total", "totalPages", "hasNext", "nextCursor"}

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_CAMEL_CASE = re.compile(r"[a-z][A-Za-z0-9]*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_FOREIGN_IDS = {"transactionId", "productId", "requestId", "googlePlayProductId"}
_NEVER_SHOWN = ("Traceback", "site-packages", "pymongo", "motor", "mongodb://", "127.0.0.1:", "Exception", 'File "')


def data(response: httpx.Response, status: int = 200) -> Json:
    """Return ``data`` of a success that keeps the contract: envelope, camelCase, ids, times and headers."""
    assert response.status_code == status, described(response)
    body = _body(response)
    assert body.keys() == {"success", "data"}, described(response)
    assert body["success"] is True
    content = body["data"]
    assert isinstance(content, dict)
    for key, value in _fields(content):
        assert _CAMEL_CASE.fullmatch(key), key
        if key.endswith("At") and value is not None:
            assert isinstance(value, str), (key, value)
            assert TIMESTAMP.fullmatch(value), (key, value)
        if (key == "id" or key.endswith("Id")) and key not in _FOREIGN_IDS and value is not None:
            assert isinstance(value, str), (key, value)
            assert OBJECT_ID.fullmatch(value), (key, value)
    return content


def error(response: httpx.Response, status: int, code: str | None = None) -> Json:
    """Return the body of a failure that keeps the contract, after checking its status and code."""
    assert response.status_code == status, described(response)
    body = _body(response)
    assert body.keys() == ERROR_KEYS, described(response)
    assert body["success"] is False
    assert isinstance(body["code"], str)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", body["code"]), body["code"]
    assert isinstance(body["message"], str)
    assert body["message"].strip()
    assert body["details"] is None or isinstance(body["details"], dict | list), body["details"]
    assert body["requestId"] == response.headers["x-request-id"]
    for secret in _NEVER_SHOWN:
        assert secret not in response.text, described(response)
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer") or body["code"] == "invalid_credentials"
    if code == "validation_failed":
        _check_fields(body["details"])
    if code is not None:
        assert body["code"] == code, described(response)
    return body


def page(response: httpx.Response, name: str) -> tuple[list[Json], Json]:
    """Return the items of a list called ``name`` and its ``pagination``."""
    content = data(response)
    assert content.keys() == {name, "pagination"}
    pagination = content["pagination"]
    assert pagination.keys() == PAGINATION_KEYS
    assert pagination["totalPages"] == -(-pagination["total"] // pagination["limit"])
    assert isinstance(pagination["hasNext"], bool)
    assert (pagination["nextCursor"] is not None) == pagination["hasNext"]
    items = content[name]
    assert isinstance(items, list)
    return items, pagination


def described(response: httpx.Response) -> str:
    """Say what was asked and what came back, cut short."""
    request = response.request
    return f"{request.method} {request.url} -> {response.status_code} {response.text[:600]}"


def _body(response: httpx.Response) -> Json:
    assert response.headers["content-type"].partition(";")[0] == "application/json", described(response)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert _REQUEST_ID.fullmatch(response.headers["x-request-id"])
    assert "no-store" in response.headers.get("cache-control", ""), described(response)
    body = response.json()
    assert isinstance(body, dict), described(response)
    return body


def _check_fields(details: Any) -> None:
    assert isinstance(details, list)
    assert details
    for detail in details:
        assert detail.keys() == {"field", "message"}, detail
        assert isinstance(detail["field"], str)
        assert isinstance(detail["message"], str)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
        for part in value.values():
            yield from _fields(part)
    elif isinstance(value, list):
        for part in value:
            yield from _fields(part)

"""What the gateway writes down of a request."""

from typing import Any

import httpx
import pytest


async def test_every_request_leaves_one_line_with_its_id(
    gateway: httpx.AsyncClient, token: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caplog.clear()

    for number, (method, path, headers) in enumerate(
        [
            ("GET", "/api/coin/balance", token),
            ("POST", "/api/image/generate", {}),
            ("GET", "/uploads/the-name-that-keeps-it-private.png", {}),
            ("GET", "/api/secret/words", token),
            ("DELETE", "/uploads/x.png", {}),
            ("GET", "/health", {}),
        ]
    ):
        await gateway.request(method, path, headers=headers | {"X-Request-Id": f"id-{number}"})

    lines: list[Any] = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["request_id"], line["method"], line["route"], line["status"]) for line in requests] == [
        ("id-0", "GET", "/api/coin/", 200),
        ("id-1", "POST", "/api/image/generate", 401),
        ("id-2", "GET", "/uploads/", 200),
        ("id-3", "GET", "unmatched", 404),
        ("id-4", "DELETE", "/uploads/", 405),
    ]
    assert all(line["milliseconds"] >= 0 for line in requests)
    assert not any("private" in str(line) or "words" in str(line) for line in lines)

"""The gateway's own pages."""

import asyncio
import json
import re
import time
from typing import Any

import httpx
import pytest

from gateway_service.openapi import merge
from gateway_service.testing import ScriptedService, Seen, StartGateway, answer, running_service

SERVICES = ["auth", "user", "coin", "image", "subscription"]
DEAD = "http://127.0.0.1:1"


async def test_the_index_points_to_the_rest(gateway: httpx.AsyncClient) -> None:
    reply = await gateway.get("/")

    assert reply.json()["success"] is True
    for link in reply.json()["data"]["links"].values():
        assert (await gateway.get(link)).status_code == 200
    assert (await gateway.head("/")).status_code == 200


async def test_unknown_pages_and_wrong_methods(gateway: httpx.AsyncClient) -> None:
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("TRACE", "/", 405, "method_not_allowed"),
        ("OPTIONS", "/nothing", 404, "not_found"),
        ("OPTIONS", "/health", 405, "method_not_allowed"),
    ):
        reply = await gateway.request(method, path)
        assert (reply.status_code, reply.json()["code"]) == (status, code)
        assert reply.json()["requestId"] == reply.headers["x-request-id"]
        assert "server" not in reply.headers
        assert reply.headers["x-content-type-options"] == "nosniff"


class TestHealth:
    async def test_all_well(self, gateway: httpx.AsyncClient, service: ScriptedService) -> None:
        reply = await gateway.get("/health")
        assert reply.status_code == 200
        assert reply.json() == {
            "success": True,
            "data": {"status": "ok", "services": dict.fromkeys(SERVICES, "ok")},
        }
        assert {seen.request_line for seen in service.seen} == {b"GET /health HTTP/1.1"}

    async def test_one_is_away_one_is_ill_one_is_slow(self, start_gateway: StartGateway) -> None:
        async def ill(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(answer(b"secret of mongodb://inside", status=b"500 Oops"))

        async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        async with running_service(ill) as bad, running_service(slow) as late:
            gateway = await start_gateway(coin_url=DEAD, image_url=bad.url, user_url=late.url)
            began = time.monotonic()
            reply = await gateway.get("/health")
            assert time.monotonic() - began < 2.2
        assert reply.status_code == 200
        away = dict.fromkeys(["user", "coin", "image"], "unreachable")
        assert reply.json()["data"] == {"status": "degraded", "services": dict.fromkeys(SERVICES, "ok") | away}
        assert not re.search(r"127\.0\.0\.1|http|mongo|\d+\.\d+", reply.text)

    async def test_many_askers_ask_once(self, gateway: httpx.AsyncClient, service: ScriptedService) -> None:
        await asyncio.gather(*(gateway.get("/health") for _ in range(30)))
        assert len(service.seen) == len(SERVICES)

    async def test_ready(self, start_gateway: StartGateway, service: ScriptedService) -> None:
        gateway = await start_gateway(coin_url=DEAD)
        reply = await gateway.get("/ready")
        assert (reply.status_code, reply.json()["data"]) == (503, {"status": "waiting", "waitingFor": ["coin"]})
        gateway = await start_gateway()
        assert (await gateway.get("/ready")).status_code == 200
        assert service.seen[-1].request_line == b"GET /ready HTTP/1.1"


def document(paths: dict[str, Any], schemas: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas or {}},
    }


def returning(name: str) -> dict[str, Any]:
    return {"get": {"responses": {"200": {"content": {"application/json": {"schema": ref(name)}}}}}}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


class TestOpenapi:
    async def test_one_document_of_all(self, start_gateway: StartGateway) -> None:
        async def coin(seen: Seen, writer: asyncio.StreamWriter) -> None:
            described = document({"/api/coin/balance": returning("Read"), "/internal/holds": returning("Hold")})
            writer.write(answer(json.dumps(described).encode()))

        async def broken(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(answer(b"<html>"))

        async with running_service(coin) as coin_service, running_service(broken) as html:
            gateway = await start_gateway(
                coin_url=coin_service.url, auth_url=DEAD, user_url=html.url, image_url=DEAD, subscription_url=DEAD
            )
            reply = await gateway.get("/openapi.json")
            again = await gateway.get("/openapi.json")
            assert len(coin_service.seen) == 1
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/json"
        assert again.json() == reply.json()
        assert list(reply.json()["paths"]) == ["/api/coin/balance"]
        assert reply.json()["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"

    def test_only_what_is_public(self) -> None:
        schemas = {"Read": {"properties": {"x": ref("Part")}}, "Part": {"type": "object"}, "Hold": {"type": "object"}}
        paths = {"/api/coin/a": returning("Read"), "/internal/holds": returning("Hold"), "/health": returning("Hold")}
        merged = merge({"coin": document(paths, schemas)})
        assert list(merged["paths"]) == ["/api/coin/a"]
        assert list(merged["components"]["schemas"]) == ["Part", "Read"]

    def test_schemas_of_one_name(self) -> None:
        error = {"type": "object", "properties": {"code": {"type": "string"}}}
        coin = document(
            {"/api/coin/a": returning("Page")},
            {"Page": {"items": ref("Entry"), "error": ref("Error")}, "Entry": {"title": "coins"}, "Error": error},
        )
        image = document(
            {"/api/image/a": returning("Page")},
            {"Page": {"items": ref("Entry"), "error": ref("Error")}, "Entry": {"title": "images"}, "Error": error},
        )
        merged = merge({"coin": coin, "image": image})
        assert merged["components"]["schemas"] == {
            "CoinEntry": {"title": "coins"},
            "CoinPage": {"items": ref("CoinEntry"), "error": ref("Error")},
            "Error": error,
            "ImageEntry": {"title": "images"},
            "ImagePage": {"items": ref("ImageEntry"), "error": ref("Error")},
        }
        assert merged["paths"] == {"/api/coin/a": returning("CoinPage"), "/api/image/a": returning("ImagePage")}

    def test_names_in_a_discriminator_are_rewritten(self) -> None:
        union = {"discriminator": {"mapping": {"a": "#/components/schemas/A"}}, "oneOf": [ref("A")]}
        merged = merge(
            {
                "coin": document({"/api/coin/a": returning("U")}, {"U": union, "A": {"title": "1"}}),
                "user": document({"/api/user/a": returning("A")}, {"A": {"title": "2"}}),
            }
        )
        assert merged["components"]["schemas"]["U"]["discriminator"]["mapping"] == {"a": "#/components/schemas/CoinA"}

    def test_odd_documents_do_no_harm(self) -> None:
        merged = merge({"coin": {}, "user": {"paths": [], "components": None}, "image": document({})})
        assert merged["paths"] == {}


class TestDocs:
    async def test_the_page_loads_nothing_from_another_host(self, gateway: httpx.AsyncClient) -> None:
        page = await gateway.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "//" not in page.text.replace("<!doctype", "")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) == 4
        for address in loaded:
            reply = await gateway.get(address)
            assert reply.status_code == 200
            assert len(reply.content) > 100
        assert "@import" not in (await gateway.get("/docs/swagger-ui.css")).text
        assert not re.search(r"url\(['\"]?https?:", (await gateway.get("/docs/swagger-ui.css")).text)

    async def test_the_browser_is_told_so_too(self, gateway: httpx.AsyncClient) -> None:
        policy = (await gateway.get("/docs")).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "http" not in policy
        assert "*" not in policy

    async def test_the_schema_is_shown_to_no_validator(self, gateway: httpx.AsyncClient) -> None:
        start = (await gateway.get("/docs/start.js")).text
        assert "validatorUrl: null" in start
        assert '"/openapi.json"' in start

    @pytest.mark.parametrize("path", ["/docs/redoc.standalone.js", "/docs/../main.py", "/docs/x", "/docs/"])
    async def test_no_other_file(self, gateway: httpx.AsyncClient, path: str) -> None:
        assert (await gateway.get(path)).status_code == 404

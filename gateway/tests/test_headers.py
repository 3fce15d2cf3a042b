"""What headers say of who is calling, from where, and from which page."""

import asyncio
import re

import httpx
import pytest

from gateway_service.client_address import TrustedProxies
from gateway_service.testing import ScriptedService, Seen, StartGateway

IDENTITY = [
    "X-User-Id", "x-user-id", "X-User-ID", "X-USER-EMAIL", "X_User_Id", "X-User_Id", "x_user_id", "X-UserId",
    "X-Authenticated-User_", "X-Service-Token", "X-Service-Name", "X_Service_Token", "X-Internal-Request", "X_Internal",
    "X-Auth-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Server", "Forwarded", "X-Real-IP",
    "X-Client-IP", "True-Client-IP", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL",
    "X-Rewrite-URL", "X_Request_Id",
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", IDENTITY)
async def test_nobody_says_from_outside_who_they_are(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str], name: str
) -> None:
    spellings = [(name, "evil"), (name.lower(), "evil"), ("Connection", name)]
    reply = await shared_gateway.get("/api/coin/balance", headers=[*token.items(), *spellings])

    assert reply.status_code == 200
    assert b"evil" not in shared_service.seen[0].head
    assert shared_service.seen[0].values(b"connection") == []


@pytest.mark.asyncio(loop_scope="module")
async def test_headers_named_in_connection_stay_here(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str]
) -> None:
    hop_by_hop = {
        "Connection": "keep-alive, X-One , x-two,X-Request-Id, x-forwarded-for, host", "X-One": "1", "X-Two": "2",
        "X-Three": "3", "TE": "trailers", "Trailer": "X", "Keep-Alive": "timeout=1", "Proxy-Connection": "close",
    }  # fmt: skip
    await shared_gateway.get("/api/coin/balance", headers=token | hop_by_hop)

    names = {name for name, _ in shared_service.seen[0].headers}
    assert b"x-three" in names
    assert {b"x-request-id", b"x-forwarded-for", b"host", b"authorization"} <= names
    assert not {b"x-one", b"x-two", b"te", b"trailer", b"keep-alive", b"proxy-connection", b"connection"} & names


class TestRequestIds:
    """Taken over if they are ones, else made; on every answer."""

    @pytest.mark.parametrize("sent", ["a", "5f2c-A_b.9", "x" * 128])
    async def test_a_good_one_is_taken_over(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], sent: str
    ) -> None:
        for path in ("/api/coin/balance", "/api/nothing/here", "/", "/nothing"):
            reply = await gateway.get(path, headers=token | {"X-Request-Id": sent})
            assert reply.headers.get_list("x-request-id") == [sent]
        assert service.seen[0].values(b"x-request-id") == [sent.encode()]

    @pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "a,b", "a/b", '"a"', "a:b"])
    async def test_another_is_replaced(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], sent: str
    ) -> None:
        reply = await gateway.get("/api/coin/balance", headers=[*token.items(), ("X-Request-Id", sent)])
        made = reply.headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)
        assert service.seen[0].values(b"x-request-id") == [made.encode()]

    async def test_two_are_none(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
    ) -> None:
        headers = [*token.items(), ("X-Request-Id", "one"), ("X-Request-Id", "two")]
        reply = await gateway.get("/api/coin/balance", headers=headers)
        assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])

    async def test_the_trace_goes_on(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
    ) -> None:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        sent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
        await gateway.get("/api/coin/balance", headers=token | sent)
        forwarded = service.seen[0].values(b"traceparent")[0].decode()
        assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", forwarded)
        assert forwarded != sent["traceparent"]
        assert service.seen[0].values(b"tracestate") == [b"vendor=1"]

    @pytest.mark.parametrize("sent", ["", "00-0-0-0", f"00-{'0' * 32}-00f067aa0ba902b7-01", "x" * 5000])
    async def test_a_bad_trace_is_replaced(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], sent: str
    ) -> None:
        await gateway.get("/api/coin/balance", headers=token | {"traceparent": sent, "tracestate": "vendor=1"})
        assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-\d\d", service.seen[0].values(b"traceparent")[0])
        assert service.seen[0].values(b"tracestate") == []


SENT = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example"}


class TestWhereFrom:
    """``X-Forwarded-*`` are ours to say, unless a proxy we trust stands in front."""

    async def said(
        self, gateway: httpx.AsyncClient, service: ScriptedService, headers: dict[str, str]
    ) -> list[list[bytes]]:
        await gateway.get("/api/coin/balance", headers=headers)
        names = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
        return [service.seen[-1].values(name) for name in names]

    async def test_a_strangers_word_is_nothing(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
    ) -> None:
        said = await self.said(gateway, service, token | SENT | {"Host": "pixelmint.example"})
        assert said == [[b"127.0.0.1"], [b"http"], [b"pixelmint.example"]]

    async def test_a_trusted_proxys_word_counts(
        self, start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
    ) -> None:
        gateway = await start_gateway(trusted_proxies="10.0.0.0/8, 127.0.0.1")
        said = await self.said(gateway, service, token | SENT)
        assert said == [[b"203.0.113.9"], [b"https"], [b"api.example"]]

    async def test_but_not_what_it_was_told(
        self, start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
    ) -> None:
        gateway = await start_gateway(trusted_proxies="127.0.0.1")
        forwarded = {
            "X-Forwarded-For": "1.1.1.1, 203.0.113.9",
            "X-Forwarded-Proto": "gopher",
            "X-Forwarded-Host": "a b",
        }
        said = await self.said(gateway, service, token | forwarded)
        assert said[:2] == [[b"203.0.113.9"], [b"http"]]
        assert said[2] == [f"127.0.0.1:{service.port}".encode()]

    @pytest.mark.parametrize(
        ("forwarded", "client"),
        [
            ([], "10.0.0.1"),
            ([b"203.0.113.9"], "203.0.113.9"),
            ([b"evil, 203.0.113.9"], "203.0.113.9"),
            ([b"8.8.8.8, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
            ([b"8.8.8.8", b"203.0.113.9", b"10.0.0.7,10.0.0.8"], "203.0.113.9"),
            ([b"10.0.0.7, 10.0.0.8"], "10.0.0.7"),
            ([b"8.8.8.8, ' OR 1=1, 10.0.0.8"], "10.0.0.8"),
            ([b"8.8.8.8, , 10.0.0.8"], "10.0.0.8"),
            ([b"2001:DB8::1"], "2001:db8::1"),
            ([b"203.0.113.9:4711"], "10.0.0.1"),
            ([b"\xff\xfe"], "10.0.0.1"),
        ],
    )
    def test_the_client_is_the_last_that_is_no_proxy_of_ours(self, forwarded: list[bytes], client: str) -> None:
        assert TrustedProxies(["10.0.0.0/8"]).client_of("10.0.0.1", forwarded) == client

    def test_no_network_trusts_nobody(self) -> None:
        assert not TrustedProxies([]).trusts("127.0.0.1")
        assert not TrustedProxies(["10.0.0.0/8"]).trusts("not an address")
        assert TrustedProxies(["::1", "10.0.0.0/8"]).trusts("::1")


class TestCors:
    """Web pages by list; the origin is never just handed back."""

    APP = "https://app.example"

    async def test_a_listed_page(self, start_gateway: StartGateway, token: dict[str, str]) -> None:
        gateway = await start_gateway(cors_origins="https://app.example,https://b.example:8443")
        for path, status in (("/api/coin/balance", 200), ("/api/nothing/x", 404), ("/health", 200), ("/nothing", 404)):
            reply = await gateway.get(path, headers=token | {"Origin": self.APP})
            assert reply.status_code == status
            assert reply.headers.get_list("access-control-allow-origin") == [self.APP]
            assert "Idempotent-Replayed" in reply.headers["access-control-expose-headers"]
            assert "Origin" in reply.headers["vary"]
            assert "access-control-allow-credentials" not in reply.headers
        reply = await gateway.get("/api/coin/balance", headers={"Origin": self.APP})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (401, self.APP)

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example", "https://app.example.evil.example", "https://evilapp.example", "http://app.example",
            "https://app.example:444", "HTTPS://APP.EXAMPLE", "null", "https://app.example/", "",
            "https://app.example, https://evil.example", "https://sub.app.example", "http://localhost:3000",
        ],
    )  # fmt: skip
    async def test_any_other(self, start_gateway: StartGateway, token: dict[str, str], origin: str) -> None:
        gateway = await start_gateway(cors_origins="https://app.example")
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for reply in (
            await gateway.get("/api/coin/balance", headers=token | {"Origin": origin}),
            await gateway.options("/api/coin/balance", headers=asked),
        ):
            assert not [name for name in reply.headers if name.startswith("access-control-")]
            assert reply.headers["vary"] == "Origin"

    async def test_a_preflight_is_answered_here(self, start_gateway: StartGateway, service: ScriptedService) -> None:
        gateway = await start_gateway(cors_origins=self.APP)
        asked = {
            "Origin": self.APP, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key,x-evil",
        }  # fmt: skip
        reply = await gateway.options("/api/coin/buy", headers=asked)
        assert (reply.status_code, reply.content) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == self.APP
        assert "POST" in reply.headers["access-control-allow-methods"]
        allowed = reply.headers["access-control-allow-headers"].lower()
        assert "idempotency-key" in allowed
        assert "authorization" in allowed
        assert "x-evil" not in allowed
        assert service.seen == []

    async def test_a_services_own_words_are_dropped(
        self, start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
    ) -> None:
        async def open_to_all(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\naccess-control-allow-origin: *\r\n"
                b"access-control-allow-credentials: true\r\n\r\n"
            )

        service.handler = open_to_all
        gateway = await start_gateway(cors_origins=self.APP)
        reply = await gateway.get("/api/coin/balance", headers=token | {"Origin": "https://evil.example"})
        assert not [name for name in reply.headers if name.startswith("access-control-")]

    async def test_everybody(self, start_gateway: StartGateway, token: dict[str, str]) -> None:
        gateway = await start_gateway(cors_origins="*")
        reply = await gateway.get("/api/coin/balance", headers=token | {"Origin": "https://any.example"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers
        assert "access-control-allow-origin" not in (await gateway.get("/health")).headers

    @pytest.mark.parametrize(
        ("origin", "known"),
        [
            ("http://localhost:5173", True), ("http://localhost", True), ("http://127.0.0.1:8080", True),
            ("http://localhost:5173.evil.example", False), ("http://localhost.evil.example:80", False),
            ("https://localhost:5173", False), ("http://localhost:*", False),
        ],
    )  # fmt: skip
    async def test_development_knows_localhost(
        self, gateway: httpx.AsyncClient, token: dict[str, str], origin: str, known: bool
    ) -> None:
        reply = await gateway.get("/api/coin/balance", headers=token | {"Origin": origin})
        assert reply.headers.get("access-control-allow-origin") == (origin if known else None)

    async def test_production_knows_nobody_unless_told(
        self, start_gateway: StartGateway, token: dict[str, str]
    ) -> None:
        gateway = await start_gateway(environment="production", jwt_secret="9f8e7d6c" * 8)
        reply = await gateway.get("/health", headers={"Origin": "http://localhost:3000"})
        assert "access-control-allow-origin" not in reply.headers


class TestCaching:
    """Private answers are kept by nobody."""

    async def test_private_answers(self, gateway: httpx.AsyncClient, token: dict[str, str]) -> None:
        reply = await gateway.get("/api/coin/balance", headers=token)
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers.get_list("x-content-type-options") == ["nosniff"]

    async def test_a_service_may_say_otherwise(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
    ) -> None:
        async def cached(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncache-control: max-age=60\r\n"
                b"x-content-type-options: nosniff\r\n\r\n"
            )

        service.handler = cached
        reply = await gateway.get("/api/auth/.well-known/jwks.json")
        assert reply.headers.get_list("cache-control") == ["max-age=60"]
        assert reply.headers.get_list("x-content-type-options") == ["nosniff"]

    async def test_pictures_are_the_services_to_say(self, gateway: httpx.AsyncClient) -> None:
        reply = await gateway.get("/uploads/a.png")
        assert "cache-control" not in reply.headers
        assert reply.headers["x-content-type-options"] == "nosniff"

"""Addresses of generations: what there is, what there is not, and what the schema says of it."""

import json

import httpx

UNKNOWN = "0123456789abcdef01234567"


async def test_methods_and_addresses_that_are_none(client: httpx.AsyncClient) -> None:
    address = f"/api/image/generations/{UNKNOWN}"
    for method, path in (
        *(("POST", address), ("PUT", address), ("PATCH", address), ("HEAD", address)),
        *(("POST", f"{address}/events"), ("DELETE", f"{address}/events"), ("HEAD", f"{address}/events")),
    ):
        answer = await client.request(method, path, json={} if method != "HEAD" else None)
        assert answer.status_code == 405, (method, path)
    for path in ("/api/image/generations", "/api/image/generations/", f"{address}/other", f"{address}/events/1"):
        for method in ("GET", "DELETE"):
            response = await client.request(method, path)
            assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_nobody_follows_without_a_token(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        address = f"/api/image/generations/{UNKNOWN}{path}"
        response = await client.request(method, address, headers={"Authorization": "Bearer nonsense"})
        assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


async def test_the_schema_describes_it(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    generate = schema["paths"]["/api/image/generate"]["post"]
    assert {"Prefer", "Idempotency-Key"} <= {parameter["name"] for parameter in generate["parameters"]}
    assert {"Location", "Preference-Applied"} <= generate["responses"]["202"]["headers"].keys()
    one = schema["paths"]["/api/image/generations/{generation_id}"]
    assert {"wait", "generation_id"} == {parameter["name"] for parameter in one["get"]["parameters"]}
    assert {"200", "401", "404", "409"} <= one["delete"]["responses"].keys()
    events = schema["paths"]["/api/image/generations/{generation_id}/events"]["get"]
    assert {"Last-Event-ID", "generation_id"} == {parameter["name"] for parameter in events["parameters"]}
    assert events["responses"]["200"]["content"].keys() == {"text/event-stream"}
    assert {"204", "401", "404", "429", "503"} <= events["responses"].keys()
    public = {path: operations for path, operations in schema["paths"].items() if not path.startswith("/internal/")}
    assert "HTTPValidationError" not in json.dumps(public)  # the framework's 422 is none of our answers

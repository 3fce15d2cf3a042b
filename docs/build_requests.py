"""Write ``requests.http`` and the Postman collection from the OpenAPI schema of a running gateway.

    .venv/bin/python docs/build_requests.py [http://localhost:5000/openapi.json]

The journey below says which requests, in which order, with which values; names, descriptions and whether a token is
needed come from the schema, and a request that the schema does not know stops the script.
"""

import json
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BASE_URL = "http://localhost:5000"


@dataclass(frozen=True)
class Step:
    """One request of the journey; ``saves`` maps variables to paths in the answer's ``data``."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    query: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    saves: dict[str, str] = field(default_factory=dict)
    repeatable: bool = False
    is_stream: bool = False

    def filled_path(self) -> str:
        path = self.path
        for name, value in self.values.items():
            path = path.replace(f"{{{name}}}", value)
        return path


ACCOUNT = {"email": "ada-{{$timestamp}}@example.com", "password": "correct horse battery"}
TOKENS = {"token": "token", "refreshToken": "refreshToken"}

JOURNEY = (
    Step("POST", "/api/auth/register", {**ACCOUNT, "name": "Ada"}, saves={**TOKENS, "email": "user.email"}),
    Step("POST", "/api/auth/login", {**ACCOUNT, "email": "{{email}}"}, saves=TOKENS),
    Step("POST", "/api/auth/refresh", {"refreshToken": "{{refreshToken}}"}, saves=TOKENS),
    Step("GET", "/api/user/profile"),
    Step("PUT", "/api/user/profile", {"name": "Ada Lovelace", "avatarUrl": "https://example.com/ada.png"}),
    Step("GET", "/api/coin/balance"),
    Step("GET", "/api/image/options"),
    Step("POST", "/api/image/quote", {"prompt": "a lighthouse at dusk", "samples": 2}),
    Step(
        "POST",
        "/api/image/generate",
        {
            "prompt": "a lighthouse at dusk",
            "stylePreset": "cinematic",
            "width": 1024,
            "height": 1024,
            "samples": 1,
            "steps": 30,
            "cfgScale": 7,
            "negativePrompt": "blurry",
            "responseFormat": "url",
        },
        saves={"imageId": "images[0].id", "generationId": "generationId"},
        repeatable=True,
    ),
    Step(
        "GET",
        "/api/image/generations/{generation_id}",
        query={"wait": "20"},
        values={"generation_id": "{{generationId}}"},
    ),
    Step(
        "GET",
        "/api/image/generations/{generation_id}/events",
        values={"generation_id": "{{generationId}}"},
        is_stream=True,
    ),
    Step("GET", "/api/image/history", query={"page": "1", "limit": "10"}),
    Step("GET", "/api/image/{image_id}", values={"image_id": "{{imageId}}"}),
    Step("GET", "/api/coin/packs", saves={"packId": "packs[0].id"}),
    Step("POST", "/api/coin/checkout", {"packId": "{{packId}}"}, repeatable=True),
    Step(
        "POST",
        "/api/coin/buy",
        {"amount": 100, "paymentMethod": "stripe", "transactionId": "txn_{{$timestamp}}"},
        repeatable=True,
    ),
    Step("POST", "/api/coin/earn", {"amount": 10, "source": "ad_watch"}, repeatable=True),
    Step("POST", "/api/coin/deduct", {"amount": 5, "reason": "a filter"}, repeatable=True),
    Step("GET", "/api/coin/transactions", query={"page": "1", "limit": "10"}),
    Step(
        "POST",
        "/api/subscription/verify",
        {
            "purchaseToken": "pro_monthly~{{$timestamp}}",
            "productId": "pro_monthly",
            "packageName": "com.example.app",
        },
    ),
    Step("GET", "/api/subscription/status"),
    Step(
        "POST",
        "/api/image/{image_id}/report",
        {"reason": "other", "note": "not what I asked for"},
        values={"image_id": "{{imageId}}"},
    ),
    Step("DELETE", "/api/image/{image_id}", values={"image_id": "{{imageId}}"}),
)


def operation_of(schema: dict[str, Any], step: Step) -> dict[str, Any]:
    """Return what the schema says of a step's request."""
    try:
        operation: dict[str, Any] = schema["paths"][step.path][step.method.lower()]
    except KeyError:
        raise SystemExit(f"the schema has no {step.method} {step.path}") from None
    return operation


def requests_http(schema: dict[str, Any]) -> str:
    """Write the journey for editors that send ``.http`` files."""
    blocks = [f"# The first journey. Send the requests from top to bottom.\n@base = {BASE_URL}"]
    saved: dict[str, str] = {}
    for step in JOURNEY:
        operation = operation_of(schema, step)
        name = step.method.lower() + "".join(
            part.title() for part in step.path.removeprefix("/api/").replace("{", "").replace("}", "").split("/")
        ).replace("_", "")

        def fill(text: str, saved: dict[str, str] = saved) -> str:
            for variable, reference in saved.items():
                text = text.replace(f"{{{{{variable}}}}}", reference)
            return text

        query = "&".join(f"{key}={value}" for key, value in step.query.items())
        lines = [f"### {operation['summary']}", f"# @name {name}"]
        lines.append(fill(f"{step.method} {{{{base}}}}{step.filled_path()}" + (f"?{query}" if query else "")))
        if operation.get("security"):
            lines.append(fill("Authorization: Bearer {{token}}"))
        if step.repeatable:
            lines.append("Idempotency-Key: {{$guid}}")
        if step.body is not None:
            lines += ["Content-Type: application/json", "", fill(json.dumps(step.body, indent=2))]
        blocks.append("\n".join(lines))
        saved.update({variable: f"{{{{{name}.response.body.data.{path}}}}}" for variable, path in step.saves.items()})
    return "\n\n".join(blocks) + "\n"


def postman_collection(schema: dict[str, Any]) -> dict[str, Any]:
    """Write the journey as a Postman collection, format 2.1; tokens and ids pass from request to request."""
    return {
        "info": {
            "name": "Pixelmint",
            "description": "The first journey. Run the requests in order.",
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": "base", "value": BASE_URL}],
        "item": [_postman_item(step, operation_of(schema, step)) for step in JOURNEY],
    }


def _postman_item(step: Step, operation: dict[str, Any]) -> dict[str, Any]:
    headers = [{"key": "Idempotency-Key", "value": "{{$guid}}"}] if step.repeatable else []
    path = step.filled_path()
    query = [{"key": key, "value": value} for key, value in step.query.items()]
    raw = "{{base}}" + path + ("?" + "&".join(f"{key}={value}" for key, value in step.query.items()) if query else "")
    request: dict[str, Any] = {
        "method": step.method,
        "header": headers,
        "url": {"raw": raw, "host": ["{{base}}"], "path": path.strip("/").split("/"), "query": query},
        "description": operation.get("description", ""),
    }
    if not operation.get("security"):
        request["auth"] = {"type": "noauth"}
    if step.body is not None:
        headers.append({"key": "Content-Type", "value": "application/json"})
        request["body"] = {
            "mode": "raw",
            "raw": json.dumps(step.body, indent=2),
            "options": {"raw": {"language": "json"}},
        }
    succeeded = "code).to.equal(200)" if step.is_stream else "json().success).to.equal(true)"
    script = [
        f"pm.test('success', () => pm.expect(pm.response.{succeeded});",
        *(
            f"pm.collectionVariables.set('{variable}', pm.response.json().data.{path});"
            for variable, path in step.saves.items()
        ),
    ]
    event = {"listen": "test", "script": {"type": "text/javascript", "exec": script}}
    return {"name": operation["summary"], "event": [event], "request": request}


def main() -> None:
    """Read the schema and write both files."""
    address = sys.argv[1] if len(sys.argv) > 1 else f"{BASE_URL}/openapi.json"
    if not address.startswith(("http://", "https://")):
        raise SystemExit("usage: build_requests.py [http://…/openapi.json]")
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - checked above
        schema = json.load(answer)
    (HERE / "requests.http").write_text(requests_http(schema), encoding="utf-8")
    collection = json.dumps(postman_collection(schema), indent=2, ensure_ascii=False)
    (HERE / "pixelmint.postman_collection.json").write_text(collection + "\n", encoding="utf-8")
    print(f"wrote {len(JOURNEY)} requests")


if __name__ == "__main__":
    main()

"""What a newcomer is told to paste, send and import works, and says what the schema says."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from journey.mesh import Mesh

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
VENDORS = re.compile("/webhooks/|/rewards/")
"""Addresses that vendors call, not apps."""

TOO_QUICK = {("DELETE", "/api/image/generations/{generation_id}")}
"""What an order waits for is over before a script could call it off."""


@pytest.fixture
def builder() -> ModuleType:
    """The script that writes the documents."""
    spec = importlib.util.spec_from_file_location("build_requests", DOCS / "build_requests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_journey(base_url: str) -> str:
    blocks = re.findall(r"```sh\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    script = next(block for block in blocks if "BASE=" in block)
    return str(script.replace("http://localhost:5000", base_url))


def test_the_readmes_first_journey_can_be_pasted(mesh: Mesh, tmp_path: Path) -> None:
    pasted = subprocess.run(
        ["sh", "-e"],
        input=first_journey(mesh.gateway),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert pasted.returncode == 0, pasted.stderr
    assert pasted.stderr == ""
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    answers = [json.loads(line) for line in pasted.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == 8
    assert all(answer["success"] for answer in answers)
    assert "\n0\n" in pasted.stdout  # the subscriber's picture was free
    assert answers[-1]["data"]["subscription"]["isActive"] is True


async def test_the_documents_are_those_of_the_schema(http: httpx.AsyncClient, builder: ModuleType) -> None:
    schema = (await http.get("/openapi.json")).json()
    written = (DOCS / "requests.http").read_text()
    collection = json.loads((DOCS / "pixelmint.postman_collection.json").read_text())
    assert written == builder.requests_http(schema), "run `make requests`"
    assert collection == builder.postman_collection(schema), "run `make requests`"


async def test_every_request_of_an_app_is_in_the_journey(http: httpx.AsyncClient, builder: ModuleType) -> None:
    schema = (await http.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    walked = {(step.method, step.path) for step in builder.JOURNEY}
    apps = {(method, path) for method, path in described if path.startswith("/api/") and not VENDORS.search(path)}
    assert apps - TOO_QUICK == walked


async def test_the_postman_collection_runs_from_top_to_bottom(http: httpx.AsyncClient) -> None:
    collection = json.loads((DOCS / "pixelmint.postman_collection.json").read_text())
    variables = {"base": "", "$timestamp": "1", "$guid": "2"}
    for number, item in enumerate(collection["item"]):
        variables |= {"$timestamp": f"9{id(collection)}", "$guid": f"key-{number}"}

        def filled(text: str, values: dict[str, str] = variables) -> str:
            return re.sub(r"\{\{(.+?)\}\}", lambda match: values[match[1]], text)

        request = item["request"]
        headers = {header["key"]: filled(header["value"]) for header in request["header"]}
        if request.get("auth", {}).get("type") != "noauth":
            headers["Authorization"] = f"Bearer {variables['token']}"
        body = filled(request["body"]["raw"]) if "body" in request else None
        url = filled(request["url"]["raw"])
        answer = await http.request(request["method"], url, content=body, headers=headers)
        assert answer.is_success, f"{item['name']}: {answer.text}"
        for line in item["event"][0]["script"]["exec"][1:]:
            name, path = re.findall(r"set\('(\w+)', pm\.response\.json\(\)\.(.+)\);", line)[0]
            variables[name] = _at(answer.json(), path)


def _at(value: Any, path: str) -> str:
    for part in re.findall(r"\w+", path):
        value = value[int(part) if part.isdigit() else part]
    return str(value)

"""What can be set is written down where operators look, and reaches the containers."""

import importlib
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
MEMBERS = ("gateway", "auth", "user", "coin", "image", "subscription", "sandbox")

NOT_FOR_OPERATORS = {"SERVICE_NAME", "RELOAD", "SANDBOX_BASE_URL", "SANDBOX_CREDENTIALS_FILE", "GATEWAY_URL"}
"""What the ways to start a mesh decide themselves."""

INSIDE_CONTAINERS = {"HOST", "PORT", "MONGO_DATABASE", "SANDBOX_CREDENTIALS_WORLD_READABLE"}
"""What an image, or a container's own network, decides."""


def variables(member: str) -> set[str]:
    settings = importlib.import_module(f"{member}_service.settings").Settings
    return {name.upper() for name in settings.model_fields} - NOT_FOR_OPERATORS


@pytest.mark.parametrize("member", MEMBERS)
def test_the_example_lists_what_can_be_set(member: str) -> None:
    listed = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE))
    assert variables(member) - {"SANDBOX_CREDENTIALS_WORLD_READABLE"} <= listed


@pytest.mark.parametrize("member", MEMBERS)
def test_the_containers_are_given_what_can_be_set(member: str) -> None:
    compose = (CHECKOUT / "docker-compose.yml").read_text()
    shared = compose.partition("\nservices:\n")[0]
    block = re.search(rf"^  {member}:\n((?: {{4}}.*\n)+)", compose, re.MULTILINE)
    assert block is not None
    given = set(re.findall(r"^ +([A-Z][A-Z0-9_]+):", shared + block[1], re.MULTILINE))
    by_name = {f"{name.upper()}_URL" for name in MEMBERS}  # each finds the others under their names
    assert variables(member) - INSIDE_CONTAINERS - by_name <= given

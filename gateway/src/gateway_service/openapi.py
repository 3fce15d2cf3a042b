"""One OpenAPI document of all services, as the public may see it."""

from collections.abc import Iterator, Mapping
from typing import Any

PUBLIC_PREFIXES = ("/api/", "/uploads/")
VERSION = "0.1.0"
_SCHEMA = "#/components/schemas/"
_BEARER = {"HTTPBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}

Document = dict[str, Any]


def merge(documents: Mapping[str, Document]) -> Document:
    """Merge the services' documents; what is not public is left out, schemas included.

    Schemas of one name that are not the same get their service's name in front (``Entry`` of coin: ``CoinEntry``).
    """
    paths = {name: _public_paths(document) for name, document in documents.items()}
    schemas = {name: _used(_section(documents[name], "components", "schemas"), paths[name]) for name in documents}
    differing = _differing(schemas)
    merged_paths: Document = {}
    merged_schemas: Document = {}
    security: Document = dict(_BEARER)
    for service, document in documents.items():
        names = {name: service.capitalize() + name for name in schemas[service] if name in differing}
        merged_paths |= _renamed(paths[service], names)
        merged_schemas |= {names.get(name, name): _renamed(schema, names) for name, schema in schemas[service].items()}
        security |= _section(document, "components", "securitySchemes")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pixelmint",
            "version": VERSION,
            "description": "Accounts, coins, subscriptions and pictures for AI image-generation apps.",
        },
        "servers": [{"url": "/"}],
        "paths": dict(sorted(merged_paths.items())),
        "components": {"schemas": dict(sorted(merged_schemas.items())), "securitySchemes": security},
    }


def _section(document: Document, *keys: str) -> Document:
    for key in keys:
        section = document.get(key)
        document = section if isinstance(section, dict) else {}
    return document


def _public_paths(document: Document) -> Document:
    return {path: item for path, item in _section(document, "paths").items() if path.startswith(PUBLIC_PREFIXES)}


def _references(value: object) -> Iterator[str]:
    """Yield the names of the schemas that ``value`` points to, in ``$ref`` or in a discriminator's mapping."""
    if isinstance(value, str):
        if value.startswith(_SCHEMA):
            yield value.removeprefix(_SCHEMA)
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _references(part)


def _used(schemas: Document, paths: Document) -> Document:
    used: Document = {}
    waiting = list(_references(paths))
    while waiting:
        name = waiting.pop()
        if name in schemas and name not in used:
            used[name] = schemas[name]
            waiting.extend(_references(schemas[name]))
    return used


def _differing(schemas: Mapping[str, Document]) -> set[str]:
    """Name the schemas that mean different things in different services, by themselves or by what they point to."""
    meanings: dict[str, list[object]] = {}
    for section in schemas.values():
        for name, schema in section.items():
            meanings.setdefault(name, []).append(schema)
    shared = {name: of_name for name, of_name in meanings.items() if len(of_name) > 1}
    differing = {name for name, of_name in shared.items() if any(meaning != of_name[0] for meaning in of_name)}
    while (
        more := {name for name, of_name in shared.items() if not differing.isdisjoint(_references(of_name))} - differing
    ):
        differing |= more
    return differing


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part, names) for part in value]
    if isinstance(value, str) and value.startswith(_SCHEMA):
        name = value.removeprefix(_SCHEMA)
        return _SCHEMA + names.get(name, name)
    return value

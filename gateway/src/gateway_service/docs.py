"""Swagger UI, served from here to the last byte: the page asks no other host for anything."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse

router = APIRouter(include_in_schema=False)

_ASSETS = Path(str(files("fastapi_offline"))) / "static"
"""Of this distribution only the files of Swagger UI are used: it is the one that keeps up with its releases."""

_MEDIA_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "favicon.png": "image/png"}
_ASSET_HEADERS = {"Cache-Control": "public, max-age=86400"}

# Swagger UI sets styles inline; scripts come from files only.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Pixelmint API</title>
  <link rel="icon" href="/docs/favicon.png">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
"""

# Without ``validatorUrl: null`` it would show the schema to a validator on the web.
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""


@router.api_route("/docs", methods=["GET", "HEAD"])
async def page() -> Response:
    return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)


@router.api_route("/docs/start.js", methods=["GET", "HEAD"])
async def start() -> Response:
    return Response(_START, media_type="text/javascript", headers=_ASSET_HEADERS)


def _add_asset(name: str, media_type: str) -> None:
    @router.api_route(f"/docs/{name}", methods=["GET", "HEAD"])
    async def asset() -> Response:
        return FileResponse(_ASSETS / name, media_type=media_type, headers=_ASSET_HEADERS)


for _name, _media_type in _MEDIA_TYPES.items():
    _add_asset(_name, _media_type)

"""AdMob's key server over HTTP."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from sandbox_service.vendor import VendorRoute, sandbox_of

MAX_AGE_SECONDS = 3600


async def verifier_keys(request: Request) -> Response:
    headers = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}"}
    return JSONResponse(sandbox_of(request).admob.key_set(), headers=headers)


def bare_error(status: int) -> Response:
    """A plain page, as a server of static files has."""
    return HTMLResponse(f"<title>Error {status}</title><h1>Error {status}</h1>", status_code=status)


routes = [
    VendorRoute("admob", "verifier_keys", "GET", "/admob/reward/verifier-keys.json", verifier_keys, bare_error),
]

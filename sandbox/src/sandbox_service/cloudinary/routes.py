"""Cloudinary over HTTP: signed upload and destroy, the list of assets, delivery of originals."""

import re
import uuid
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from common.clock import format_timestamp
from sandbox_service.cloudinary.assets import Asset
from sandbox_service.cloudinary.errors import CloudinaryError, bare_error, error_response
from sandbox_service.cloudinary.signatures import check, check_basic, sign
from sandbox_service.vendor import Handler, VendorRoute, sandbox_of

MAX_FILE_BYTES = 10_485_760
"""Of the free plan."""

_PUBLIC_ID = re.compile(r"[^?&#\\%<>+\s]{1,255}")
_DELIVERED = re.compile(r"(?:v\d+/)?(?P<public_id>.+)\.(?P<format>png|webp|jpg|gif)")
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})")


async def upload(request: Request) -> Response:
    """Keep one picture under its public id."""
    parameters, data = await _form(request)
    sandbox, cloud = sandbox_of(request), request.path_params["cloud"]
    algorithm = check(parameters, sandbox.clock.now())
    if data is None:
        raise CloudinaryError(400, "Missing required parameter - file")
    if len(data) > MAX_FILE_BYTES:
        raise CloudinaryError(400, f"File size too large. Got {len(data)}. Maximum is {MAX_FILE_BYTES}.")
    public_id = parameters.get("public_id") or uuid.uuid4().hex[:20]
    if not _PUBLIC_ID.fullmatch(public_id):
        raise CloudinaryError(400, f"public_id ({public_id[:255]}) is invalid")
    known = sandbox.assets.find(cloud, public_id)
    if known is not None and parameters.get("overwrite") == "false":
        return JSONResponse({**_uploaded(known, request, algorithm), "existing": True})
    asset = Asset.read(cloud, public_id, data, sandbox.clock.now())
    if asset is None:
        raise CloudinaryError(400, "Invalid image file")
    sandbox.assets.put(asset)
    replaced = {"overwritten": True} if known else {}
    return JSONResponse({**_uploaded(asset, request, algorithm), **replaced, "api_key": parameters["api_key"]})


async def destroy(request: Request) -> Response:
    """Forget one picture; that there is none is no error."""
    parameters, _ = await _form(request)
    sandbox = sandbox_of(request)
    check(parameters, sandbox.clock.now())
    if not parameters.get("public_id"):
        raise CloudinaryError(400, "Missing required parameter - public_id")
    removed = sandbox.assets.remove(request.path_params["cloud"], parameters["public_id"])
    return JSONResponse({"result": "ok" if removed else "not found"})


async def resources(request: Request) -> Response:
    """List the pictures of a cloud, some at a time."""
    check_basic(request)
    wanted = request.query_params.get("max_results", "10")
    if not wanted.isdecimal() or not 1 <= int(wanted) <= 500:
        raise CloudinaryError(400, "Invalid value for parameter max_results. Valid range: 1..500")
    assets = sandbox_of(request).assets.list(request.path_params["cloud"], request.query_params.get("prefix", ""))
    cursor = request.query_params.get("next_cursor")
    ids = [asset.asset_id for asset in assets]
    if cursor is not None and cursor not in ids:
        raise CloudinaryError(400, "Invalid value for parameter next_cursor")
    first = ids.index(cursor) if cursor is not None else 0
    page, rest = assets[first : first + int(wanted)], ids[first + int(wanted) :]
    answer: dict[str, Any] = {"resources": [_described(asset, request) for asset in page]}
    if rest:
        answer["next_cursor"] = rest[0]
    limits = {"X-FeatureRateLimit-Limit": "500", "X-FeatureRateLimit-Remaining": "499"}
    return JSONResponse(answer, headers=limits)


async def deliver(request: Request) -> Response:
    """Load a picture as it was uploaded; nothing is transformed here."""
    name = _DELIVERED.fullmatch(request.path_params["name"])
    asset = sandbox_of(request).assets.find(request.path_params["cloud"], name["public_id"]) if name else None
    if name is None or asset is None or asset.format != name["format"]:
        return error_response(404, f"Resource not found - {request.path_params['name']}")
    headers = {
        "ETag": f'"{asset.etag}"',
        "Cache-Control": "public, no-transform, immutable, max-age=2592000",
        "Accept-Ranges": "bytes",
    }
    media_type = f"image/{'jpeg' if asset.format == 'jpg' else asset.format}"
    body, status = asset.data, 200
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted:
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(asset.data))
        if start >= stop:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(asset.data)}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(asset.data)}"
        body, status = asset.data[start:stop], 206
    headers["Content-Length"] = str(len(body))
    return Response(b"" if request.method == "HEAD" else body, status, headers, media_type)


async def _form(request: Request) -> tuple[dict[str, str], bytes | None]:
    """The fields of a form, and its file."""
    try:
        async with request.form() as form:
            file = form.get("file")
            data = await file.read() if isinstance(file, UploadFile) else None
            return {name: value for name, value in form.items() if isinstance(value, str)}, data
    except HTTPException as error:
        raise CloudinaryError(400, "Invalid parameters") from error


def _uploaded(asset: Asset, request: Request, algorithm: str) -> dict[str, Any]:
    signed = sign(f"public_id={asset.public_id}&version={asset.version}", algorithm)
    return {
        **_described(asset, request),
        "signature": signed,
        "tags": [],
        "pages": 1,
        "etag": asset.etag,
        "placeholder": False,
        "original_filename": "file",
    }


def _described(asset: Asset, request: Request) -> dict[str, Any]:
    path = f"{asset.cloud}/image/upload/v{asset.version}/{asset.public_id}.{asset.format}"
    address = f"{sandbox_of(request).settings.base_url}/{path}"
    return {
        "asset_id": asset.asset_id,
        "public_id": asset.public_id,
        "format": asset.format,
        "version": asset.version,
        "resource_type": "image",
        "type": "upload",
        "created_at": format_timestamp(asset.created_at)[:-5] + "Z",
        "bytes": len(asset.data),
        "width": asset.width,
        "height": asset.height,
        "asset_folder": "",
        "display_name": asset.public_id,
        "url": address,
        "secure_url": address,
    }


def _route(operation: str, method: str, path: str, handler: Handler) -> VendorRoute:
    return VendorRoute("cloudinary", operation, method, path, handler, bare_error)


routes = [
    _route("upload", "POST", "/v1_1/{cloud}/image/upload", upload),
    _route("destroy", "POST", "/v1_1/{cloud}/image/destroy", destroy),
    _route("resources", "GET", "/v1_1/{cloud}/resources/image", resources),
    _route("resources", "GET", "/v1_1/{cloud}/resources/image/upload", resources),
    _route("deliver", "GET", "/{cloud}/image/upload/{name:path}", deliver),
]

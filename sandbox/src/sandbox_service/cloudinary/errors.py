"""Cloudinary's errors: ``{"error": {"message"}}``, and the same words in a header."""

from starlette.responses import JSONResponse, Response

from sandbox_service.vendor import VendorError

_BARE = {
    400: "Invalid parameters",
    401: "Invalid credentials",
    403: "Not allowed",
    404: "Resource not found",
    409: "Already exists",
    413: "File size too large. Maximum is 10485760. Upgrade your plan to enjoy higher limits",
    420: "Rate Limit Exceeded. Limit of 500 api operations reached.",
    429: "Too many concurrent upload_api operations",
}


def error_response(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status, headers={"X-Cld-Error": message})


def bare_error(status: int) -> Response:
    """The body that belongs to a status."""
    return error_response(status, _BARE.get(status, "General Error" if status >= 500 else _BARE[400]))


class CloudinaryError(VendorError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(error_response(status, message))

"""What can be wrong with a request before it has an address."""

from http import HTTPStatus

from common.errors import ServiceError


class RequestTimeoutError(ServiceError):
    code = "request_timeout"
    status = HTTPStatus.REQUEST_TIMEOUT
    message = "The request did not arrive in time. Please try again."


class TargetTooLongError(ServiceError):
    code = "uri_too_long"
    status = HTTPStatus.REQUEST_URI_TOO_LONG
    message = "The address is too long."


class HeadTooLargeError(ServiceError):
    code = "headers_too_large"
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    message = "The request's headers are too large."

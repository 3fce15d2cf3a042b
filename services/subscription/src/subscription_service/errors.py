"""What the subscription service may answer beside a success."""

from http import HTTPStatus

from common.errors import ConflictError, FieldError, NotFoundError, ServiceError


class PurchaseNotFoundError(NotFoundError):
    """Google does not know the purchase token."""

    code = "purchase_not_found"
    message = "Google Play does not know this purchase."


class PurchaseAlreadyLinkedError(ConflictError):
    """The purchase belongs to another account."""

    code = "purchase_already_linked"
    message = "This purchase belongs to another account."


class PurchaseExpiredError(ServiceError):
    """The purchase is over and grants nothing any more."""

    code = "purchase_expired"
    status = HTTPStatus.GONE
    message = "This subscription has ended."


class PackageNotAllowedError(FieldError):
    """The purchase would be one of another app; Google was not asked."""

    code = "package_not_allowed"
    message = "This app's purchases are not accepted here."
    field = "packageName"


class ProductMismatchError(FieldError):
    """The purchase is of another product."""

    code = "product_mismatch"
    message = "The purchase is of another product."
    field = "productId"


class TestPurchaseNotAllowedError(FieldError):
    """A licence tester's purchase, and these do not count here."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    code = "test_purchase_not_allowed"
    message = "Test purchases are not accepted here."
    field = "purchaseToken"


class GooglePlayUnavailableError(ServiceError):
    """Google cannot be asked now, which says nothing about the purchase."""

    code = "google_play_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "Google Play cannot be reached right now. Please try again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class GooglePlayFailedError(GooglePlayUnavailableError):
    """Google answered what cannot be used, which says nothing about the purchase either."""

    status = HTTPStatus.BAD_GATEWAY


class GooglePlayNotConfiguredError(GooglePlayUnavailableError):
    """This installation has no Google Play credentials, or no app whose purchases count."""

    code = "google_play_not_configured"
    message = "Google Play purchases are not set up here yet."

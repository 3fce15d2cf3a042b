"""HTTP of reports on pictures."""

from http import HTTPStatus

from common.auth import CurrentUserDep
from common.errors import InvalidTokenError, ValidationFailedError, responses
from common.routing import json_router
from common.schemas import Envelope, ok
from image_service.dependencies import ReportServiceDep
from image_service.errors import ImageNotFoundError, TooManyReportsError
from image_service.report_schemas import ReportRead, ReportRequest
from image_service.routes import ImageId

router = json_router(prefix="/api/image", tags=["image"])


@router.post(
    "/{image_id:image_id}/report",
    status_code=HTTPStatus.ACCEPTED,
    responses=responses(InvalidTokenError, ImageNotFoundError, ValidationFailedError, TooManyReportsError),
)
async def report_image(
    image_id: ImageId, body: ReportRequest, user: CurrentUserDep, reports: ReportServiceDep
) -> Envelope[ReportRead]:
    """Report a picture for review; the picture as it is now is kept for that, even if it is deleted."""
    report = await reports.report(user.id, image_id, reason=body.reason, note=body.note)
    return ok(ReportRead.of(report))

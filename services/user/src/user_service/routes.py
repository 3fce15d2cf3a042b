"""The user service's HTTP: ``/api/user``."""

from common.auth import CurrentUserDep
from common.clients.auth import EmailTakenError
from common.errors import (
    InvalidTokenError,
    ServiceUnavailableError,
    UpstreamTimeoutError,
    ValidationFailedError,
    responses,
)
from common.routing import json_router
from common.schemas import Envelope, ok
from user_service.dependencies import ProfileServiceDep
from user_service.schemas import ChangeProfileRequest, ProfileRead

router = json_router(prefix="/api/user", tags=["user"])


@router.get("/profile", responses=responses(InvalidTokenError, ServiceUnavailableError))
async def get_profile(user: CurrentUserDep, profiles: ProfileServiceDep) -> Envelope[ProfileRead]:
    """Show one's own profile."""
    return ok(ProfileRead.from_profile(await profiles.get(user.id)))


@router.put(
    "/profile",
    responses=responses(
        InvalidTokenError, EmailTakenError, ValidationFailedError, ServiceUnavailableError, UpstreamTimeoutError
    ),
)
async def change_profile(
    body: ChangeProfileRequest, user: CurrentUserDep, profiles: ProfileServiceDep
) -> Envelope[ProfileRead]:
    """Change what is sent: e-mail address, name, picture; `null` clears the latter two."""
    return ok(ProfileRead.from_profile(await profiles.change(user.id, body.to_fields())))

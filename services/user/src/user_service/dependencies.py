"""What the routes are handed."""

from typing import Annotated

from fastapi import Depends, Request

from user_service.service import ProfileService


def _profiles(request: Request) -> ProfileService:
    service: ProfileService = request.app.state.profile_service
    return service


ProfileServiceDep = Annotated[ProfileService, Depends(_profiles)]

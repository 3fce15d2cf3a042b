"""What the routes are handed.

Each is ``async`` because FastAPI runs a plain function in a thread, which costs more than it does.
"""

from typing import Annotated

from fastapi import Depends, Request

from user_service.service import ProfileService


async def _profiles(request: Request) -> ProfileService:
    service: ProfileService = request.app.state.profile_service
    return service


ProfileServiceDep = Annotated[ProfileService, Depends(_profiles)]

"""What the routes are handed.

Each is ``async`` because FastAPI runs a plain function in a thread, which costs more than it does.
"""

from typing import Annotated

from fastapi import Depends, Request

from auth_service.client_address import ClientAddressDep
from auth_service.service import AccountService, AuthService
from auth_service.sessions import SessionService

__all__ = ["AccountServiceDep", "AuthServiceDep", "ClientAddressDep", "SessionServiceDep"]


async def _auth(request: Request) -> AuthService:
    service: AuthService = request.app.state.auth_service
    return service


async def _accounts(request: Request) -> AccountService:
    service: AccountService = request.app.state.account_service
    return service


async def _sessions(request: Request) -> SessionService:
    service: SessionService = request.app.state.session_service
    return service


AuthServiceDep = Annotated[AuthService, Depends(_auth)]
AccountServiceDep = Annotated[AccountService, Depends(_accounts)]
SessionServiceDep = Annotated[SessionService, Depends(_sessions)]

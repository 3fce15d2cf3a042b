"""The auth service's HTTP: ``/api/auth`` for clients, ``/internal`` for the other services."""

from http import HTTPStatus

from fastapi import Depends, Response

from auth_service.dependencies import AccountServiceDep, AuthServiceDep, ClientAddressDep, SessionServiceDep
from auth_service.errors import (
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    PasswordsBusyError,
    TokenReusedError,
    TooManyAttemptsError,
)
from auth_service.schemas import LoginRequest, RefreshRequest, RegisterRequest, SignedInRead, TokenPairRead
from common.clients.auth import (
    READ_SCOPE,
    WRITE_SCOPE,
    AccountNotFoundError,
    AccountRead,
    ChangeAccountRequest,
    EmailTakenError,
)
from common.errors import ValidationFailedError, responses
from common.routing import json_router
from common.schemas import Envelope, ok
from common.service_auth import require_scope

router = json_router(prefix="/api/auth", tags=["auth"])
internal_router = json_router(prefix="/internal/accounts", tags=["internal"])


@router.post(
    "/register",
    status_code=HTTPStatus.CREATED,
    responses=responses(EmailTakenError, ValidationFailedError, TooManyAttemptsError, PasswordsBusyError),
)
async def register(
    body: RegisterRequest, response: Response, auth: AuthServiceDep, address: ClientAddressDep
) -> Envelope[SignedInRead]:
    """Make an account and sign it in."""
    signed_in = await auth.register(body.email, body.password, name=body.name, address=address)
    response.headers.update(signed_in.allowance.headers())
    return ok(SignedInRead.of(signed_in.account, signed_in.tokens))


@router.post(
    "/login",
    responses=responses(InvalidCredentialsError, ValidationFailedError, TooManyAttemptsError, PasswordsBusyError),
)
async def login(
    body: LoginRequest, response: Response, auth: AuthServiceDep, address: ClientAddressDep
) -> Envelope[SignedInRead]:
    """Sign in with e-mail address and password."""
    signed_in = await auth.login(body.email, body.password, address=address)
    response.headers.update(signed_in.allowance.headers())
    return ok(SignedInRead.of(signed_in.account, signed_in.tokens))


@router.post("/refresh", responses=responses(InvalidRefreshTokenError, TokenReusedError, ValidationFailedError))
async def refresh(body: RefreshRequest, sessions: SessionServiceDep) -> Envelope[TokenPairRead]:
    """Exchange a refresh token for a new pair; each is good once."""
    return ok(TokenPairRead.from_pair(await sessions.refresh(body.refresh_token)))


@internal_router.get("/{account_id}", dependencies=[Depends(require_scope(READ_SCOPE))])
async def get_account(account_id: str, accounts: AccountServiceDep) -> Envelope[AccountRead]:
    """Say who somebody is."""
    account = await accounts.get(account_id)
    return ok(AccountRead.model_validate(account.model_dump()))


@internal_router.put(
    "/{account_id}",
    dependencies=[Depends(require_scope(WRITE_SCOPE))],
    responses=responses(AccountNotFoundError, EmailTakenError),
)
async def change_account(
    account_id: str, body: ChangeAccountRequest, accounts: AccountServiceDep
) -> Envelope[AccountRead]:
    """Change an account's address and name."""
    account = await accounts.change(account_id, email=body.email, name=body.name, version=body.version)
    return ok(AccountRead.model_validate(account.model_dump()))

"""The auth service as others see it."""

from common.errors import ConflictError, NotFoundError
from common.http import ServiceClient, path_segment
from common.schemas import ReadModel, RequestModel, Timestamp

READ_SCOPE = "auth:read"
WRITE_SCOPE = "auth:write"


class EmailTakenError(ConflictError):
    """Another account has this e-mail address."""

    code = "email_taken"
    message = "This e-mail address is already in use."


class AccountNotFoundError(NotFoundError):
    """No account has this id: it never existed or was deleted."""

    code = "account_not_found"
    message = "This account does not exist."


class Account(ReadModel):
    """Who somebody is."""

    id: str
    email: str
    name: str | None
    created_at: Timestamp


class ChangeAccountRequest(RequestModel):
    """What the account is to be called from now on.

    ``version`` counts a user's changes: a change older than the last one applied does nothing, so that one that was
    delayed on the road cannot undo a newer one.
    """

    email: str
    name: str | None
    version: int


class AccountRead(Account):
    """An account with the version of the last change applied to it."""

    version: int


class AuthClient(ServiceClient):
    """Every call may be repeated: reads, and changes by version."""

    service = "auth"
    raises = (EmailTakenError, AccountNotFoundError)

    async def account(self, user_id: str) -> AccountRead:
        """Return an account.

        Raises:
            AccountNotFoundError: There is none.
        """
        answer = await self._call("GET", f"/internal/accounts/{path_segment(user_id)}", scope=READ_SCOPE)
        return self._parse(AccountRead, answer)

    async def change_account(self, user_id: str, *, email: str, name: str | None, version: int) -> AccountRead:
        """Make ``email`` and ``name`` those of the account, unless a newer change was applied already.

        Raises:
            AccountNotFoundError: There is none.
            EmailTakenError: Another account has the address; nothing changed.
        """
        body = ChangeAccountRequest(email=email, name=name, version=version)
        path = f"/internal/accounts/{path_segment(user_id)}"
        return self._parse(AccountRead, await self._call("PUT", path, scope=WRITE_SCOPE, body=body))

"""From ``Authorization`` to the user, with a memory for tokens found good."""

import time
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers

from common.auth import CurrentUser, TokenVerifier
from common.tokens import bearer_token

MAX_REMEMBERED = 10_000
"""About 10 MiB; checking one costs a hundred times what finding it here does."""


class Identity:
    """Checks tokens; remembers the good ones, never past their ``exp``.

    What is refused is not remembered: a stream of bad tokens cannot push the good ones out.
    """

    def __init__(
        self, verifier: TokenVerifier, *, now: Callable[[], float] = time.time, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        self._verifier = verifier
        self._now = now
        self._max_remembered = max_remembered
        self._good: dict[bytes, CurrentUser] = {}

    def user(self, authorizations: Sequence[bytes]) -> CurrentUser:
        """Return the user whom the ``Authorization`` headers of a request speak for.

        Raises:
            MissingTokenError: There is none.
            InvalidTokenError: More than one, or one that is malformed, forged or not ours.
            ExpiredTokenError: It was good once.
        """
        key = authorizations[0] if len(authorizations) == 1 else b""
        user = self._good.get(key)
        if user is not None:
            if self._now() < user.expires_at:
                return user
            del self._good[key]
        token = bearer_token(Headers(raw=[(b"authorization", value) for value in authorizations]))
        user = self._verifier.verify(token)
        if self._now() < user.expires_at:  # not so within the leeway
            if len(self._good) >= self._max_remembered:
                del self._good[next(iter(self._good))]
            self._good[key] = user
        return user

    def forget_all(self) -> None:
        """Check every token anew from here on, as after a revocation."""
        self._good.clear()

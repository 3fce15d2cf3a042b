"""A caller of the service."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import httpx


class OpenClient(Protocol):
    """Starts the application with these settings and talks to it."""

    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...

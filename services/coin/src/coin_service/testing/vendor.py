"""What all vendors have in common."""

from collections.abc import Awaitable, Callable

import httpx

Answer = int | bytes | Exception | httpx.Response


class Vendor:
    """What any vendor does: answer, or fail first.

    Attributes:
        answers: Instead of the next answers: a status, a body, the error of a broken connection, a whole response.
        asked: Method and path of every call.
        handler: Takes the calls instead, if set.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[str] = []
        self.handler: Callable[[httpx.Request], Awaitable[httpx.Response]] | None = None

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._receive)

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        if self.handler is not None:
            return await self.handler(request)
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, httpx.Response):
                return answer
            if isinstance(answer, bytes):
                return httpx.Response(200, content=answer)
            return httpx.Response(answer, json={"error": {"message": "In the vendor's words."}})
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was not expected")

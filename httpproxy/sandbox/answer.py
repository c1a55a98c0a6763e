"""An answer on the wire, whole or spoilt as ordered.

Status line, the headers that the simulator gave, a body: aiohttp's own `Response`
would add a Server and a Content-Type that the API does not send.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from httpproxy.sandbox.faults import Kind, Plan, compressed
from providers.http import Response

_BODILESS = frozenset({204, 304})


class Answer(web.StreamResponse):
    """Sends one response in the way that the plan asks for."""

    def __init__(self, response: Response, plan: Plan, date: str) -> None:
        reason = response.reason or _phrase(response.status)
        super().__init__(status=response.status, reason=reason)
        self._plan = plan
        self._fields: CIMultiDict[str] = CIMultiDict(response.headers)
        self._fields.setdefault("Date", date)
        self._content = response.body
        coding = plan.option(Kind.COMPRESS, "coding")
        if isinstance(coding, str) and response.body:
            self._content = compressed(response.body, coding)
            self._fields["Content-Encoding"] = coding

    @property
    def keep_alive(self) -> bool | None:
        return self._keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._keep_alive = request.keep_alive
        if not self._keep_alive:
            self._fields["Connection"] = "close"
        self._bare = request.method == "HEAD" or self.status in _BODILESS
        size = self._plan.option(Kind.CHUNKED, "size")
        self._step = size if isinstance(size, int) else 0
        self._fields.pop("Content-Length", None)
        if self._step and not self._bare and request.version.minor:
            self._fields["Transfer-Encoding"] = "chunked"
            request.writer.enable_chunking()
        elif self.status not in _BODILESS:
            self._fields["Content-Length"] = str(len(self._content))
        await request.writer.write_headers(
            f"HTTP/1.1 {self.status} {self.reason}", self._fields
        )
        self._request, self._writer = request, request.writer
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp calls it bare
        if self._bare:
            await self._writer.write_eof()
            return
        sent, cut = self._content, Kind.TRUNCATE in self._plan.orders
        if cut:
            keep = self._plan.option(Kind.TRUNCATE, "keep")
            sent = sent[: keep if isinstance(keep, int) else len(sent) // 2]
        step = self._step or max(1, len(sent))
        for start in range(0, len(sent), step):
            await self._writer.write(sent[start : start + step])
        if cut:
            self._writer.send_headers()  # aiohttp holds them back until a body comes
            close(self._request)
        else:
            await self._writer.write_eof()


class Dropped(web.StreamResponse):
    """No answer: the connection ends."""

    @property
    def keep_alive(self) -> bool | None:
        return False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        close(request)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """There is nothing to end."""


def close(request: web.BaseRequest) -> None:
    """End the connection once what was written has left."""
    if request.transport is not None:
        request.transport.close()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

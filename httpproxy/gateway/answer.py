"""The client's side of the connection: bytes out, exactly as they are meant.

aiohttp's own `Response` adds Server and Content-Type where the API sent none. This
one writes a status line, the headers it is given and a body, nothing else, through
the writer that aiohttp publishes for the purpose (`aiohttp.abc.AbstractStreamWriter`).
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from httpproxy.exchange.messages.headers import CONNECTION, CONTENT_LENGTH, EXPECT

BODILESS = frozenset({204, 304})


class Answer(web.StreamResponse):
    """One whole answer. `close` ends the connection after it."""

    def __init__(
        self,
        status: int,
        reason: str,
        headers: CIMultiDict[str],
        body: bytes,
        *,
        close: bool = False,
    ) -> None:
        super().__init__(status=status, reason=reason)
        self.fields = headers
        self.body = body
        self.close = close
        self._stays_open: bool | None = None
        self._bare = status in BODILESS

    @property
    def keep_alive(self) -> bool | None:
        return self._stays_open

    def whole(self) -> bytes:
        """The answer as it is written where there is no request; the connection ends."""
        self.fields[CONNECTION] = "close"
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.fields.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        fields = self.fields
        # Who expects a 100 and reads a refusal may send the body still, or may not.
        unsure = request.can_read_body and EXPECT in request.headers
        self._stays_open = request.keep_alive and not self.close and not unsure
        if not self._stays_open:
            fields[CONNECTION] = "close"
        elif request.version.minor == 0:
            fields[CONNECTION] = "keep-alive"
        if request.method == "HEAD":
            self._bare = True
        elif not self._bare and CONTENT_LENGTH not in fields:
            fields[CONTENT_LENGTH] = str(len(self.body))
        await request.writer.write_headers(f"HTTP/1.1 {self.status} {self.reason}", fields)
        self._request_writer = request.writer
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp calls it bare
        await self._request_writer.write_eof(b"" if self._bare else self.body)

"""A client's connection to this door: aiohttp's, but for what its parser refuses.

aiohttp answers that in plain text, and logs the line that it could not read: here it is a
problem like every other, and nothing of what was sent is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from httpproxy.api.problems import problem
from httpproxy.management.problems import Declined

MAX_LINE: Final = 40_000  # bytes: what /v1/proxy carries may be as long as at the gateway
MAX_FIELD: Final = 32_768
_OPTIONS: Final[Mapping[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "max_line_size": MAX_LINE,
    "max_field_size": MAX_FIELD,
}


class Connection(web.RequestHandler):
    """One client's connection; bodies come as they were sent."""

    def __init__(self, server: web.Server, new_request_id: Callable[[], str]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_OPTIONS)
        self._new_request_id = new_request_id

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request; the connection ends with it."""
        if status >= 500:  # not the parser: it never says so
            return super().handle_error(request, status, exc, message)
        detail = "The request could not be read as HTTP/1.1."
        if isinstance(exc, LineTooLong):
            detail = f"The target is over {MAX_LINE} bytes, or a header over {MAX_FIELD}."
        request_id = self._new_request_id()
        answer = problem(Declined("bad_request", detail), request_id)
        answer.headers["X-Request-Id"] = request_id
        answer.force_close()
        return answer

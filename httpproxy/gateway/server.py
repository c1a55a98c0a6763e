"""The gateway's server: aiohttp's low-level one, so that nothing stands in between.

No router (it would decode the path), no middlewares, no application: one handler.
Every answer carries `Proxy-Status` (RFC 9209) and our receipt `Httpproxy-Commit`.
What aiohttp's parser refuses is answered in our own form too, without an echo of
what was sent.

The order of a call: address, route, account, size, body, then the exchange. Nothing
is asked for (`100 Continue`) and nothing forwarded before the checks have passed, and
a body is forwarded only whole. A client that goes away does not stop an exchange that
is under way: its write is finished and committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from multidict import CIMultiDict

from httpproxy.exchange.account import Accounts
from httpproxy.exchange.apis import HOST_HINTS, REFUSALS
from httpproxy.exchange.live import Directory, Live
from httpproxy.exchange.problems import Refusal, Rejected, body
from httpproxy.exchange.write import NOTHING, Call, Receipt, Writes
from httpproxy.gateway.address import Address, parse
from httpproxy.gateway.answer import Answer
from httpproxy.gateway.draining import DrainingConnection, DrainingServer
from httpproxy.gateway.headers import (
    MAX_FORWARDS,
    PROXY_STATUS,
    RECEIPT,
    forwarded,
    hops_left,
    returned,
)
from httpproxy.gateway.incoming import asks_about_us, check_head, read_body
from httpproxy.telemetry.course import Course
from httpproxy.telemetry.watch import Watch
from providers.http import Request, Response

log = logging.getLogger(__name__)

MAX_TARGET: Final = 17_000  # Airtable takes URLs of 16,000, and our prefix comes on top
MAX_LINE: Final = 40_000  # the parser's own limit, above ours so that ours answers
MAX_FIELD: Final = 32_768
MAX_HEADERS: Final = 256
_ALLOW: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_PARSER_PROBLEMS: Final = {
    400: "bad_request",
    414: "target_too_long",
    431: "headers_too_large",
    505: "version_not_supported",
}


@dataclass(frozen=True, slots=True)
class Doorway:
    """What the door is built with."""

    directory: Directory
    accounts: Accounts
    writes: Writes
    pseudonym: str
    max_body: int
    new_request_id: Callable[[], str]
    watch: Watch


class Gateway:
    """The handler of every request."""

    def __init__(self, doorway: Doorway) -> None:
        self._d = doorway

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request; the API's answer or a problem of ours, never an exception."""
        request_id = self._d.new_request_id()
        course = self._d.watch.begin(request_id, request.headers)
        refusal: Refusal | None = None
        try:
            check_head(request)
            if asks_about_us(request):
                return self._own_options(request_id)
            address = parse(request.raw_path, MAX_TARGET)
            refusal = REFUSALS.get(address.host)
            directory = self._d.directory
            unique_id = address.unique_id
            found = directory.known(unique_id) or await directory.look_up(unique_id)
            live = _serving(found, address.host)
            course.belongs(live.sync.id, live.provider.name)
            response, receipt = await self._exchange(request, address, live, course)
        except Rejected as rejected:
            return self._refused(rejected, request.method, course, refusal)
        except Exception:
            log.exception("request %s failed", request_id)
            failure = Rejected(
                "internal_error",
                f"The proxy failed; its log has the reason under {request_id}.",
                sent="unknown",
            )
            return self._refused(failure, request.method, course, refusal)
        self._d.watch.answered(course, request.method, response.status, receipt.outcome)
        return self._relayed(response, receipt, request_id)

    async def _exchange(
        self, request: web.BaseRequest, address: Address, live: Live, course: Course
    ) -> tuple[Response, Receipt]:
        match = live.api.router.match(request.method, address.host, address.path)
        if match is None:
            raise Rejected(
                "unsupported_path",
                f"{live.provider.title} has no {request.method} at this path that this proxy"
                " knows; call the API directly.",
            )
        course.routed(match.route)
        accounts, incoming = self._d.accounts, request.headers
        verified = accounts.named(live, match.variables) or await accounts.verified(
            live, incoming
        )
        sent_body = await read_body(request, self._d.max_body)
        headers = forwarded(incoming, len(sent_body), self._d.pseudonym)
        if request.method == "OPTIONS" and (hops := hops_left(headers)):
            headers[MAX_FORWARDS] = str(hops - 1)
        call = Call(
            live,
            match,
            Request(request.method, address.host, address.target, headers, sent_body),
            course.request_id,
            verified,
            course,
        )
        return await self._d.writes.carry(call)

    def _relayed(self, response: Response, receipt: Receipt, request_id: str) -> Answer:
        headers = returned(response.headers)
        status = f"{self._d.pseudonym}; received-status={response.status}"
        if receipt.outcome == "deferred":
            status += '; details="commit-deferred"'
        headers.add(PROXY_STATUS, status)
        headers[RECEIPT] = _receipt(receipt, request_id)
        return Answer(response.status, response.reason, headers, response.body)

    def _refused(
        self, rejected: Rejected, method: str, course: Course, refusal: Refusal | None
    ) -> Answer:
        status, code = rejected.kind.status, rejected.code
        self._d.watch.refused(course, method, status, code, rejected.sent)
        return self.problem(rejected, method, course.request_id, refusal)

    def problem(
        self, rejected: Rejected, method: str, request_id: str, refusal: Refusal | None = None
    ) -> Answer:
        """Our own answer. What an operator can mend is logged, what anybody can send is not."""
        level = logging.INFO if rejected.kind.status in (403, 502, 504) else logging.DEBUG
        log.log(level, "request %s refused: %s", request_id, rejected)
        status = self._d.pseudonym
        if rejected.proxy_error:
            status += f"; error={rejected.proxy_error}"
        headers = CIMultiDict(
            {
                "Content-Type": "application/problem+json",
                "Cache-Control": "no-store",
                "Date": formatdate(usegmt=True),
                PROXY_STATUS: f'{status}; details="{rejected.code}"',
                RECEIPT: _receipt(NOTHING, request_id),
            }
        )
        if rejected.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(rejected.retry_after)))
        if rejected.kind.status == 405:
            headers["Allow"] = _ALLOW
        content = body(rejected, method, request_id, refusal)
        headers["Content-Length"] = str(len(content))
        return Answer(
            rejected.kind.status,
            rejected.kind.title,
            headers,
            content,
            close=rejected.kind.status in (400, 408, 413, 414, 431, 501, 505),
        )

    def _own_options(self, request_id: str) -> Answer:
        headers = CIMultiDict(
            {
                "Allow": _ALLOW,
                "Date": formatdate(usegmt=True),
                PROXY_STATUS: self._d.pseudonym,
                RECEIPT: _receipt(NOTHING, request_id),
            }
        )
        return Answer(204, "No Content", headers, b"")

    def unreadable(self, status: int, method: str) -> Answer:
        """Our form of what aiohttp's parser refused; nothing of the input is echoed."""
        code = _PARSER_PROBLEMS.get(status, "bad_request")
        rejected = Rejected(code, "The request could not be read as HTTP/1.1.")
        return self.problem(rejected, method, self._d.new_request_id())


def _receipt(receipt: Receipt, request_id: str) -> str:
    told = f"{receipt.outcome}; rows={receipt.rows}; request-id={request_id}"
    return f"{told}; token={receipt.token}" if receipt.token else told


def _serving(live: Live | None, host: str) -> Live:
    if live is not None and host in live.provider.hosts:
        return live
    raise Rejected("unknown_address", _no_such_address(host))


def _no_such_address(host: str) -> str:
    """The same whether the unique id exists or not: who guesses ids learns nothing."""
    if host in HOST_HINTS:
        return f"Use {HOST_HINTS[host]} in place of {host} after the unique id."
    return (
        "No sync has this unique id, or it is not for this API host."
        " `httpproxy sync show` prints the API root to prepend."
    )


class _Connection(DrainingConnection):
    """aiohttp's connection, answering what its parser refuses in our form."""

    __slots__ = ("_gateway",)

    def __init__(self, gateway: Gateway, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._gateway = gateway

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, LineTooLong):
            status = 414 if str(exc.args[1]) == str(MAX_LINE) else 431
        elif message is not None and "many headers" in message:
            status = 431
        elif "Invalid HTTP version" in str(exc):
            status = 505
        return self._gateway.unreadable(status, request.method)


class GatewayServer(DrainingServer):
    """Makes a connection for each client, with our limits."""

    def __init__(self, gateway: Gateway, max_body: int) -> None:
        super().__init__(gateway.handle, request_factory=self._new_request)
        self._gateway = gateway
        self._max_body = max_body
        self._running_loop = asyncio.get_running_loop()

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self._gateway,
            self,
            loop=self._running_loop,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
        )

    def _new_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._running_loop,
            client_max_size=self._max_body,
        )

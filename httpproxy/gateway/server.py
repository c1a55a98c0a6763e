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

import logging
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, cast

from aiohttp import web
from multidict import CIMultiDict

from httpproxy.exchange.attempt import NOTHING, Call
from httpproxy.exchange.authorization.account import Accounts
from httpproxy.exchange.authorization.standin import StandIn, key_among
from httpproxy.exchange.directory.apis import HOST_HINTS, REFUSALS
from httpproxy.exchange.directory.syncs import Directory, Live
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.exchange.forwarding.write import Writes
from httpproxy.exchange.messages.answers import (
    ALLOW,
    Outgoing,
    previewed,
    receipt_line,
    refused,
    relayed,
)
from httpproxy.exchange.messages.headers import (
    MAX_FORWARDS,
    PROXY_STATUS,
    RECEIPT,
    asks_for_dry_run,
    forwarded,
    hops_left,
)
from httpproxy.exchange.messages.targets import MAX_TARGET
from httpproxy.exchange.pacing import Pace
from httpproxy.exchange.problems import Refusal, Rejected
from httpproxy.gateway.address import Address, parse
from httpproxy.gateway.answer import Answer
from httpproxy.gateway.callers import X_FORWARDED_FOR, TrustedProxies
from httpproxy.gateway.connection import Connection
from httpproxy.gateway.incoming import asks_about_us, check_head, read_body
from httpproxy.telemetry.course import Course
from httpproxy.telemetry.watch import Watch
from providers.http import Request
from providers.record import JSON

log = logging.getLogger(__name__)

# What a client may name in vain: 100 calls at once, then some every minute. An address that
# is known is never counted, so nobody is slowed down by who shares an address with them.
STRANGER_CALLS: Final = 100
STRANGER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Doorway:
    """What the door is built with."""

    directory: Directory
    accounts: Accounts
    writes: Writes
    dry_run: DryRun
    standin: StandIn
    pseudonym: str
    max_body: int
    new_request_id: Callable[[], str]
    trusted: TrustedProxies
    watch: Watch


class Gateway:
    """The handler of every request."""

    def __init__(self, doorway: Doorway) -> None:
        self._d = doorway
        self._strangers = Pace(STRANGER_CALLS, STRANGER_SECONDS)

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
            live = await self._serving(request, address)
            course.belongs(live.sync.id, live.provider.name)
            dry = asks_for_dry_run(request.headers)
            call = await self._call(request, address, live, course, dry=dry)
            if dry:
                return self._previewed(await self._d.dry_run.preview(call), call)
            response, receipt = await self._d.writes.carry(call)
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
        return Answer(*relayed(response, receipt, request_id, self._d.pseudonym))

    async def _call(
        self,
        request: web.BaseRequest,
        address: Address,
        live: Live,
        course: Course,
        *,
        dry: bool,
    ) -> Call:
        """The call as the exchange takes it. Raises Rejected if it may not be sent.

        A dry run is not verified here: more is asked of its token. In the place of an API
        key of ours goes the stored credential, which is the account's own.
        """
        match = live.api.router.match(request.method, address.host, address.path)
        if match is None:
            raise Rejected(
                "unsupported_path",
                f"{live.provider.title} has no {request.method} at this path that this proxy"
                " knows; call the API directly.",
            )
        course.routed(match.route)
        accounts, incoming = self._d.accounts, request.headers
        named = accounts.named(live, match.variables)
        key = key_among(incoming)
        if key is not None:
            await self._d.standin.admit(key, live, match.route)
        verified = named or dry or key is not None or await accounts.verified(live, incoming)
        outgoing = await self._outgoing(request, address)
        call = Call(live, match, outgoing, course.request_id, verified, course)
        if key is not None:
            call = await self._d.standin.ready(call, accounts.mark(incoming))
        return call

    async def _outgoing(self, request: web.BaseRequest, address: Address) -> Request:
        """The request as it travels on, with its whole body. Raises Rejected."""
        sent_body = await read_body(request, self._d.max_body)
        headers = forwarded(request.headers, len(sent_body), self._d.pseudonym)
        if request.method == "OPTIONS" and (hops := hops_left(headers)):
            headers[MAX_FORWARDS] = str(hops - 1)
        return Request(request.method, address.host, address.target, headers, sent_body)

    async def _serving(self, request: web.BaseRequest, address: Address) -> Live:
        """The sync that is called. Who asks for what nobody has may not do so often.

        The answer is the same whether the unique id exists or not: who guesses ids learns
        nothing from it. Raises Rejected (404, 429).
        """
        live = self._d.directory.known(address.unique_id)
        if live is not None and address.host in live.provider.hosts:
            return live
        peer = cast("Connection", request.protocol).peer
        told = request.headers.getall(X_FORWARDED_FOR, ())
        if not await self._strangers.allows(self._d.trusted.caller(peer, told)):
            raise Rejected(
                "too_many_requests",
                "Too many calls from your address name a sync or an API host that nobody has.",
                retry_after=STRANGER_SECONDS / STRANGER_CALLS,
            )
        live = live or await self._d.directory.look_up(address.unique_id)
        if live is not None and address.host in live.provider.hosts:
            return live
        raise Rejected("unknown_address", _no_such_address(address.host))

    def _previewed(self, told: dict[str, JSON], call: Call) -> Answer:
        self._d.watch.answered(call.course, call.request.method, 200, NOTHING.outcome)
        return _own(previewed(told, call.request_id, self._d.pseudonym))

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
        if rejected.code == "database_unavailable":  # told by who keeps the connections
            level = logging.DEBUG
        log.log(level, "request %s refused: %s", request_id, rejected)
        said = refused(rejected, method, request_id, self._d.pseudonym, refusal)
        return _own(said, close=said.status in (400, 408, 413, 414, 431, 501, 505))

    def _own_options(self, request_id: str) -> Answer:
        headers = CIMultiDict(
            {
                "Allow": ALLOW,
                "Date": formatdate(usegmt=True),
                PROXY_STATUS: self._d.pseudonym,
                RECEIPT: receipt_line(NOTHING, request_id),
            }
        )
        return Answer(204, "No Content", headers, b"")

    def refuse(self, rejected: Rejected, method: str) -> Answer:
        """Our answer to what never became a request; nothing of the input is echoed."""
        return self.problem(rejected, method, self._d.new_request_id())


def _own(said: Outgoing, *, close: bool = False) -> Answer:
    """An answer of ours: unlike the API's, it has no date yet."""
    said.headers["Date"] = formatdate(usegmt=True)
    return Answer(*said, close=close)


def _no_such_address(host: str) -> str:
    if host in HOST_HINTS:
        return f"Use {HOST_HINTS[host]} in place of {host} after the unique id."
    return (
        "No sync has this unique id, or it is not for this API host."
        " `httpproxy sync show` prints the API root to prepend."
    )

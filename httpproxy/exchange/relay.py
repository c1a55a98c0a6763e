"""Calls that name a sync or a credential of ours in place of a unique id and a token.

    by sync          as at the gateway: the same checks, limits, commits and receipts
    by credential    the sync that uses it commits. Several: only calls that change nothing are
                     carried, for nobody said which one. None: the call passes, within the
                     account's rate, and nothing of it is committed

Whoever hands a call in has checked its API key. What the key opens of the sync, by the
call's route, is checked here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from multidict import MultiMapping

from httpproxy.exchange.attempt import NOTHING, UNMAPPED, Call, Receipt
from httpproxy.exchange.authorization.account import Accounts, names_account
from httpproxy.exchange.authorization.standin import AUTHORIZATION, StandIn, require
from httpproxy.exchange.directory.allotment import Allotment, answer_under, permit_for
from httpproxy.exchange.directory.apis import APIS, HOST_HINTS, Api
from httpproxy.exchange.directory.syncs import Directory, Live
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.exchange.forwarding.write import Writes
from httpproxy.exchange.messages.answers import Outgoing, previewed, relayed
from httpproxy.exchange.messages.headers import (
    MAX_FORWARDS,
    asks_for_dry_run,
    forwarded,
    hops_left,
)
from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.tokens.access import Tokens
from httpproxy.store.credentials.values import Credential
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.secrets.keys import Key
from httpproxy.telemetry.course import PERMIT, SEND, Course
from httpproxy.telemetry.watch import Watch
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter
from providers.http import Request, Response
from providers.routing import Match
from providers.spec import Action

MOST_ACCOUNTS: Final = 1_000  # without a sync, whose rate is kept in mind
_NAMED: Final = 10  # syncs that are named to who did not


class Incoming(NamedTuple):
    """A call as it came. `target` is what stands behind the id, raw: perhaps a host of the
    API, then its path and query. `headers` still hold the API key."""

    method: str
    target: str
    headers: MultiMapping[str]
    body: bytes
    key: Key


@dataclass(frozen=True)
class Parts:
    """What a relay works with. A call without a sync waits `permit_timeout` seconds for its
    permit."""

    directory: Directory
    registry: Registry
    accounts: Accounts
    writes: Writes
    dry_run: DryRun
    standin: StandIn
    tokens: Tokens
    limiter: Limiter
    watch: Watch
    pseudonym: str
    permit_timeout: float


@dataclass(frozen=True)
class Relay:
    """Carries such calls."""

    parts: Parts
    _unsynced: OrderedDict[tuple[str, str], Allotment] = field(default_factory=OrderedDict)

    async def by_sync(self, sync: Sync, asked: Incoming, course: Course) -> Outgoing:
        """The answer to a call that names a sync. Raises Rejected."""
        live = await self._live(sync)
        course.belongs(live.sync.id, live.provider.name)
        request = self._request(live.api, asked)
        match = _match(live.api, request)
        course.routed(match.route)
        require(asked.key, sync.id, match.route)
        self.parts.accounts.named(live, match.variables)
        mark = self.parts.accounts.mark(asked.headers)
        call = Call(live, match, request, course.request_id, verified=True, course=course)
        call = await self.parts.standin.ready(call, mark)
        if asks_for_dry_run(asked.headers):
            told = await self.parts.dry_run.preview(call)
            self.parts.watch.answered(course, asked.method, 200, NOTHING.outcome)
            return previewed(told, course.request_id, self.parts.pseudonym)
        response, receipt = await self.parts.writes.carry(call)
        return self._told(asked, course, response, receipt)

    async def by_credential(
        self, credential: Credential, asked: Incoming, course: Course
    ) -> Outgoing:
        """The answer to a call that names a credential. Raises Rejected."""
        api = APIS[credential.provider]
        request = self._request(api, asked)
        match = _match(api, request)
        users = await self.parts.registry.credentials.users(credential.id, _NAMED + 1)
        if len(users) > 1 and match.route.action is not Action.READ:
            raise _undecided([name for _, name in users])
        sync = await self.parts.registry.sync(users[0][0]) if users else None
        if sync is not None:
            return await self.by_sync(sync, asked, course)
        course.belongs("", credential.provider)
        course.routed(match.route)
        require(asked.key, None, match.route)
        names_account(api.provider, credential.account, match.variables)
        if asks_for_dry_run(asked.headers):
            detail = "A dry run is told by a sync's tables, and no sync uses this credential."
            raise Rejected("bad_header", detail)
        response = await self._sent(credential, match, request, course)
        reads = match.route.action is Action.READ
        return self._told(asked, course, response, NOTHING if reads else UNMAPPED)

    async def _live(self, sync: Sync) -> Live:
        directory = self.parts.directory
        live = directory.known(sync.unique_id) or await directory.look_up(sync.unique_id)
        if live is None:
            raise Rejected("unknown_address", "The sync was deleted a moment ago.")
        return live

    def _request(self, api: Api, asked: Incoming) -> Request:
        """The request as it travels on, but for its credential. Raises Rejected (400)."""
        hosts = api.provider.hosts
        target = asked.target.removeprefix("https://")
        host, slash, rest = target.partition("/")
        if host in HOST_HINTS:
            raise Rejected("unknown_address", f"Use {HOST_HINTS[host]} in place of {host}.")
        if slash and host in hosts:
            target = rest
        else:
            host = hosts[0]
        headers = forwarded(asked.headers, len(asked.body), self.parts.pseudonym)
        for name in (AUTHORIZATION, "Cookie"):  # a browser's cookies here are ours
            headers.popall(name, None)
        if asked.method == "OPTIONS" and (hops := hops_left(headers)):
            headers[MAX_FORWARDS] = str(hops - 1)
        return Request(asked.method, host, f"/{target}", headers, asked.body)

    async def _sent(
        self, credential: Credential, match: Match, request: Request, course: Course
    ) -> Response:
        """The answer to a call of no sync, of which nothing is kept."""
        authorize = APIS[credential.provider].provider.authorize

        async def send(token: str) -> Response:
            return await self._send(credential, match, authorize(request, token), course)

        return await self.parts.tokens.answered(credential.id, send)

    async def _send(
        self, credential: Credential, match: Match, request: Request, course: Course
    ) -> Response:
        """Sends a call within the account's rate. Raises Rejected."""
        parts, budget = self.parts, match.route.budget
        allotment = self._allotment(APIS[credential.provider], credential.account)
        reads = match.route.action is Action.READ
        priority = Priority.READ if reads else Priority.WRITE
        course.enter(PERMIT)
        permit = await permit_for(allotment, budget, priority, parts.permit_timeout)
        course.enter(SEND)

        def heed(response: Response) -> None:
            allotment.heed(budget, response, parts.writes.wall_clock())

        return await answer_under(permit, parts.writes.client.send(request), heed)

    def _allotment(self, api: Api, account: str) -> Allotment:
        """The account's, kept from call to call: its limit counts over all of them."""
        known, whose = self._unsynced, (api.provider.name, account)
        allotment = known.get(whose)
        if allotment is None:
            owner = f"credential {api.provider.name} {account}"
            allotment = known[whose] = Allotment(api, account, self.parts.limiter, owner=owner)
            if len(known) > MOST_ACCOUNTS:
                known.popitem(last=False)[1].give_back()
        known.move_to_end(whose)
        return allotment

    def _told(
        self, asked: Incoming, course: Course, response: Response, receipt: Receipt
    ) -> Outgoing:
        self.parts.watch.answered(course, asked.method, response.status, receipt.outcome)
        return relayed(response, receipt, course.request_id, self.parts.pseudonym)


def _match(api: Api, request: Request) -> Match:
    match = api.router.match(request.method, request.host, request.path)
    if match is None:
        raise Rejected(
            "unsupported_path",
            f"{api.provider.title} has no {request.method} at this path that this proxy"
            " knows; call the API directly.",
        )
    return match


def _undecided(names: Sequence[str]) -> Rejected:
    there = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return Rejected(
        "several_syncs",
        f"Several syncs use this credential: {there}. Call /v1/proxy/sync/{{sync_id}}/… of the"
        " one that is to commit what this changes.",
    )

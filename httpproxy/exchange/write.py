"""A call of the application, carried to the API and committed before it is answered.

    permit -> send -> read the answer -> commit -> receipt

The call leaves at most once. After the API's 2xx nothing of ours can turn it into an
error: whatever fails then, the client gets the API's answer, and the receipt says
`deferred`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from httpproxy.exchange.allotment import permit_for
from httpproxy.exchange.live import Live, tables_of
from httpproxy.exchange.problems import Rejected, failed
from httpproxy.exchange.rediscovery import Hint, Rediscovery
from httpproxy.exchange.settle import Settlement, Unsettled
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.errors import Forgotten
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.deadlines import Deadlines
from httpproxy.upstream.errors import UpstreamError
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Permit
from providers.http import Request, Response
from providers.record import Change, Dirty
from providers.routing import Match
from providers.spec import Action, Exchange, Unreadable

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None], str], object]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the answer in the database.

    outcome   applied    committed; `rows` rows were written
              deferred   it will be: the database was away, or a record is read again
              none       nothing to commit: a read, an effect, or no 2xx
              unmapped   records of collections that the sync does not cover
    """

    outcome: Literal["applied", "deferred", "none", "unmapped"]
    rows: int = 0


NOTHING: Final = Receipt("none")
DEFERRED: Final = Receipt("deferred")


class Call(NamedTuple):
    """A call as a door hands it in. `verified`: the token is the account's own."""

    live: Live
    match: Match
    request: Request
    request_id: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for a permit, and what limits a commit before it is deferred."""

    permit: float
    commit: Deadlines


@dataclass(frozen=True)
class Writes:
    """Carries calls. `wall_clock` gives seconds since the epoch (for Retry-After)."""

    client: UpstreamClient
    committer: Committer
    registry: Registry
    settlement: Settlement
    rediscovery: Rediscovery
    timeouts: Timeouts
    spawn: Spawn
    wall_clock: Callable[[], float]

    async def carry(self, call: Call) -> tuple[Response, Receipt]:
        """The API's answer, and what became of it.

        Raises Rejected if the call was not sent, or was and no answer came.
        """
        if call.match.route.action is Action.READ:
            permit = await self._permit(call, Priority.READ)
            return await self._send(call, permit), NOTHING
        tables = await self._tables(call.live)
        permit = await self._permit(call, Priority.WRITE)
        # After the wait: what was committed meanwhile lies before this call, not beside it.
        start = self.committer.clock()
        response = await self._send(call, permit)
        if not response.ok:
            return response, NOTHING
        try:
            receipt = await self._take_in(call, response, tables, start)
        except Exception:  # the API has accepted the call: its answer goes out, always
            log.exception("request %s: commit failed after the API's answer", call.request_id)
            receipt = DEFERRED
        return response, receipt

    async def _tables(self, live: Live) -> SyncTables:
        if not self.committer.available:
            raise _database_away()
        if live.tables is not None:
            return live.tables
        try:
            return await tables_of(live, self.registry)
        except OSError as error:
            raise _database_away() from error

    async def _permit(self, call: Call, priority: Priority) -> Permit:
        allotment, budget = call.live.allotment, call.match.route.budget
        permit = allotment.limiter.take(allotment.lane(budget), priority)
        if permit is None:
            permit = await permit_for(allotment, budget, priority, self.timeouts.permit)
        return permit

    async def _send(self, call: Call, permit: Permit) -> Response:
        try:
            response = await self.client.send(call.request)
            # While the permit is held: a pause comes before the next one is let go.
            call.live.allotment.heed(call.match.route.budget, response, self.wall_clock())
        except UpstreamError as error:
            if error.sent == "no":
                permit.withdraw()
            raise failed(error, error.sent) from error
        finally:
            permit.release()
        return response

    async def _take_in(
        self, call: Call, response: Response, tables: SyncTables, start: int
    ) -> Receipt:
        if not call.verified:
            log.warning("request %s: accepted for a token of unknown account", call.request_id)
            return Receipt("unmapped")
        change = _meaning(call, response, tables)
        if change.schema_changed:
            rediscovery = self.rediscovery.follow(call.live, _hint(call, change))
            self.spawn(rediscovery, "rediscover")
        if not change.images and not change.dirty:
            return Receipt("unmapped") if change.unmapped else NOTHING
        commit = Commit(tables, change, start, call.live.sync.id, "proxy", call.request_id)
        deadlines = self.timeouts.commit
        deadline = deadlines.start()
        try:
            applied = await self.committer.commit(commit)
        except asyncio.CancelledError:
            if not deadlines.ours(deadline):
                raise
            log.warning("request %s: the database is slow or away; deferred", call.request_id)
            return DEFERRED
        except Forgotten:  # the sync was deleted while its call was under way
            log.warning("request %s: its sync %s is gone", call.request_id, call.live.sync.id)
            return Receipt("unmapped")
        finally:
            deadlines.end(deadline)
        return await self._receipt(call, tables, applied) if change.images else NOTHING

    async def _receipt(self, call: Call, tables: SyncTables, applied: Applied) -> Receipt:
        if not applied.overlaps:
            return Receipt("applied", applied.rows)
        open_ = Unsettled(applied.overlaps, call.request_id, "overlapping writes")
        try:
            rows = await self.settlement.read_back(call.live, tables, open_)
        except Exception as error:  # noqa: BLE001 - the API has accepted the call
            log.info("request %s: settled later: %s", call.request_id, error)
            self.spawn(self.settlement.settle_later(call.live, tables, open_), "settle")
            return DEFERRED
        return Receipt("applied", applied.rows + rows)


def _hint(call: Call, change: Change) -> Hint:
    if call.match.route.action is Action.EFFECT:
        return Hint.TOLD
    return Hint.FIELD if change.images else Hint.COLLECTION


def _meaning(call: Call, response: Response, tables: SyncTables) -> Change:
    route = call.match.route
    if route.read is None:
        return Change()
    exchange = Exchange(call.request, response, call.match.variables)
    try:
        return route.read(exchange, tables.schema)
    except Unreadable as unreadable:
        log.warning("request %s: answer unreadable: %s", call.request_id, unreadable)
        return Change(dirty=_named_collections(call.match.variables, tables, f"{unreadable}"))


def _named_collections(
    variables: Mapping[str, str], tables: SyncTables, why: str
) -> tuple[Dirty, ...]:
    found = (tables.schema.find(spelling) for spelling in variables.values())
    return tuple(Dirty(collection.id, None, why) for collection in found if collection)


def _database_away() -> Rejected:
    return Rejected(
        "database_unavailable",
        "The database cannot be reached, so the result could not be committed;"
        " the call was not sent.",
        retry_after=1,
    )

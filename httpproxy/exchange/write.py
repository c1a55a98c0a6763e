"""A call of the application, carried to the API and committed before it is answered.

    permit -> intent -> send -> read the answer -> commit -> receipt

The intent is in the database before the first byte leaves, and ends in the transaction of
the commit: whatever ends us in between, another process finds it and reads again what the
call may have changed (`doubts`). The call leaves at most once. After the API's 2xx nothing
of ours can turn it into an error: whatever fails then, the client gets the API's answer,
and the receipt says `deferred`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from httpproxy.exchange import idempotency
from httpproxy.exchange.account import Accounts
from httpproxy.exchange.allotment import permit_for
from httpproxy.exchange.live import Live, tables_of
from httpproxy.exchange.problems import Rejected, failed
from httpproxy.exchange.rediscovery import Hint, Rediscovery
from httpproxy.exchange.settle import Settlement, Unsettled
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.errors import Forgotten, SetAside, Unavailable
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.values import Claim, Intent, Kept, KeyInUse
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry
from httpproxy.telemetry.course import COMMIT, INTENT, PERMIT, SEND, SETTLE, Course
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
              replayed   the stored answer of an earlier call, committed then
    token     where in the database's log the commit stands, for `/v1/wait`; empty if
              nothing was committed
    """

    outcome: Literal["applied", "deferred", "none", "unmapped", "replayed"]
    rows: int = 0
    token: str = ""


NOTHING: Final = Receipt("none")
DEFERRED: Final = Receipt("deferred")
UNMAPPED: Final = Receipt("unmapped")
REPLAYED: Final = Receipt("replayed")


class Call(NamedTuple):
    """A call as a door hands it in, and how it is watched. `verified`: the token is the
    account's own."""

    live: Live
    match: Match
    request: Request
    request_id: str
    verified: bool
    course: Course


class Attempt(NamedTuple):
    """A call that changes something, as it is sent.

    start    the clock before its first byte leaves
    intent   None if the database was away and calls are to be forwarded all the same
    keyed    it carries an Idempotency-Key: its answer is kept
    """

    call: Call
    tables: SyncTables
    start: int
    intent: int | None
    keyed: bool


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for a permit, and what limits a commit before it is deferred."""

    permit: float
    commit: Deadlines


@dataclass(frozen=True)
class Writes:
    """Carries calls.

    `wall_clock` gives seconds since the epoch (for Retry-After). `trusted`: whether the
    permits and intents of this process are still its own. With `forwards_blind`,
    calls are sent even while the database is away and no intent can be kept.
    """

    client: UpstreamClient
    committer: Committer
    intents: Intents
    registry: Registry
    accounts: Accounts
    settlement: Settlement
    rediscovery: Rediscovery
    timeouts: Timeouts
    spawn: Spawn
    wall_clock: Callable[[], float]
    trusted: Callable[[], bool]
    forwards_blind: bool = False

    async def carry(self, call: Call) -> tuple[Response, Receipt]:
        """The API's answer, and what became of it.

        Raises Rejected if the call was not sent, or was and no answer came.
        """
        if call.match.route.action is Action.READ:
            permit = await self._permit(call, Priority.READ)
            return await self._send(call, permit), NOTHING
        claim = idempotency.claim_of(call.request, self.accounts.mark)
        if claim is not None:
            kept = await self._kept(call, claim)
            if kept is not None:
                return await self._again(call, claim, kept), REPLAYED
        try:
            tables = await self._tables(call.live)
            permit = await self._permit(call, Priority.WRITE)
            try:
                attempt = await self._begin(call, tables, claim)
            except BaseException:
                permit.withdraw()
                raise
        except KeyInUse as used:  # another call with this key was quicker
            if claim is None:
                raise
            return await self._again(call, claim, used.kept), REPLAYED
        return await self._write(attempt, permit)

    # --- before the first byte -----------------------------------------------------------

    async def _kept(self, call: Call, claim: Claim) -> Kept | None:
        """What is kept under the key: asked before a permit is waited for."""
        try:
            return await self.intents.kept(call.live.sync.id, claim.key)
        except OSError as error:
            raise _database_away() from error

    async def _again(self, call: Call, claim: Claim, kept: Kept) -> Response:
        """What the call's key stands for. The API is not asked: whose token this is must
        be known."""
        if not idempotency.is_same_caller(kept, claim):
            try:
                proven = await self.accounts.proven(call.live, call.request.headers)
            except OSError as error:
                raise _database_away() from error
            if not proven:
                raise Rejected(
                    "token_unproven",
                    "This Idempotency-Key was used with another token, and what became of"
                    " that call is told to nobody else. Send that token, or the sync's own.",
                )
        return idempotency.replay(kept, claim)

    async def _tables(self, live: Live) -> SyncTables:
        if not self.committer.available and not self.forwards_blind:
            raise _database_away()
        if live.tables is not None:
            return live.tables
        try:
            return await tables_of(live, self.registry)
        except OSError as error:
            raise _database_away() from error

    async def _permit(self, call: Call, priority: Priority) -> Permit:
        call.course.enter(PERMIT)
        allotment, budget = call.live.allotment, call.match.route.budget
        permit = allotment.limiter.take(allotment.lane(budget), priority)
        if permit is None:
            permit = await permit_for(allotment, budget, priority, self.timeouts.permit)
        return permit

    async def _begin(self, call: Call, tables: SyncTables, claim: Claim | None) -> Attempt:
        """Keeps the intent. Raises Rejected if the database is away, and KeyInUse."""
        call.course.enter(INTENT)
        start = self.committer.clock()
        intent = Intent(call.live.sync.id, call.request, start, call.request_id, claim)
        deadlines = self.timeouts.commit
        deadline = deadlines.start()
        number: int | None = None
        try:
            number = await self.intents.begin(intent)
        except asyncio.CancelledError:
            if not deadlines.ours(deadline):
                raise
            self._go_blind(claim)
        except Unavailable:
            self._go_blind(claim)
        finally:
            deadlines.end(deadline)
        # What was committed meanwhile lies before this call, not beside it.
        return Attempt(call, tables, self.committer.clock(), number, claim is not None)

    def _go_blind(self, claim: Claim | None) -> None:
        """No intent could be kept. A call with a key is not sent then, in any case."""
        if claim is not None or not self.forwards_blind:
            raise _database_away()

    # --- the call ------------------------------------------------------------------------

    async def _write(self, attempt: Attempt, permit: Permit) -> tuple[Response, Receipt]:
        call = attempt.call
        try:
            response = await self._send(call, permit)
        except Rejected as rejected:
            if rejected.sent == "no":
                self._close(attempt, None)
            else:
                self._doubt(attempt, rejected.code)
            raise
        if response.status >= 500:  # what it changed before it failed, nobody knows
            self._doubt(attempt, f"the API answered {response.status}")
            return response, NOTHING
        if not response.ok:
            self._close(attempt, response)
            return response, NOTHING
        try:
            receipt = await self._take_in(attempt, response)
        except Exception:  # the API has accepted the call: its answer goes out, always
            log.exception("request %s: commit failed after the API's answer", call.request_id)
            self._doubt(attempt, "the commit failed")
            receipt = DEFERRED
        return response, receipt

    async def _send(self, call: Call, permit: Permit) -> Response:
        call.course.enter(SEND)
        if not self.trusted():
            permit.withdraw()
            raise Rejected(
                "lease_lost",
                "This process stood still so long that others took over what it held; the call"
                " was not sent. Try again.",
                retry_after=1,
            )
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

    # --- after the answer ----------------------------------------------------------------

    async def _take_in(self, attempt: Attempt, response: Response) -> Receipt:
        call = attempt.call
        if not call.verified:
            log.warning("request %s: accepted for a token of unknown account", call.request_id)
            self._close(attempt, response)
            return UNMAPPED
        change = _meaning(call, response, attempt.tables)
        if change.schema_changed:
            rediscovery = self.rediscovery.follow(call.live, _hint(call, change))
            self.spawn(rediscovery, "rediscover")
        if not change.images and not change.dirty:
            self._close(attempt, response)
            return UNMAPPED if change.unmapped else NOTHING
        commit = Commit(
            attempt.tables,
            change,
            attempt.start,
            call.live.sync.id,
            "proxy",
            call.request_id,
            intent=attempt.intent,
            answer=response if attempt.keyed else None,
        )
        call.course.enter(COMMIT)
        applied = await self._commit(attempt, commit)
        if isinstance(applied, Receipt):
            return applied
        return await self._receipt(attempt, commit, applied) if change.images else NOTHING

    async def _commit(self, attempt: Attempt, commit: Commit) -> Applied | Receipt:
        """Commits within the time for it; a receipt if there is no more to be done now."""
        deadlines, request_id = self.timeouts.commit, commit.request_id
        deadline = deadlines.start()
        try:
            return await self.committer.commit(commit)
        except asyncio.CancelledError:
            if not deadlines.ours(deadline):
                raise
            # It stays queued, and ends the intent when the database is back.
            log.warning("request %s: the database is slow or away; deferred", request_id)
            return DEFERRED
        except SetAside as error:  # kept in the quarantine, its intent has ended there
            log.warning("request %s: %s", request_id, error)
            return DEFERRED
        except Unavailable as error:  # not even queued
            log.warning("request %s: %s; deferred", request_id, error)
            self._doubt(attempt, "the commit could not be queued")
            return DEFERRED
        except Forgotten:  # the sync was deleted while its call was under way
            log.warning("request %s: its sync %s is gone", request_id, commit.sync_id)
            return UNMAPPED
        finally:
            deadlines.end(deadline)

    async def _receipt(self, attempt: Attempt, commit: Commit, applied: Applied) -> Receipt:
        if not applied.overlaps:
            return Receipt("applied", applied.rows, applied.token)
        call, request_id = attempt.call, commit.request_id
        call.course.enter(SETTLE)
        open_ = Unsettled(applied.overlaps, request_id, commit.intent, commit.answer)
        try:
            settled = await self.settlement.read_back(call.live, attempt.tables, open_)
        except Exception as error:  # noqa: BLE001 - the API has accepted the call
            log.info("request %s: settled later: %s", request_id, error)
            self._doubt(attempt, "overlapping writes", commit.answer)
            return DEFERRED
        return Receipt("applied", applied.rows + settled.rows, settled.token)

    def _close(self, attempt: Attempt, response: Response | None) -> None:
        """Ends an intent that leaves nothing to commit; nobody waits for that."""
        if attempt.intent is None:
            return
        if response is None or not (attempt.keyed and idempotency.is_kept(response)):
            self.intents.end(attempt.intent)
        else:
            self.intents.answer(attempt.intent, response)

    def _doubt(self, attempt: Attempt, why: str, answer: Response | None = None) -> None:
        """What became of the call has to be read again, from the first look on."""
        if attempt.intent is not None:
            self.intents.doubt(attempt.intent, why, answer)
        else:
            log.error("request %s: %s, and no intent was kept", attempt.call.request_id, why)


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

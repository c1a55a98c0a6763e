"""What an API's answer says, taken into the tables before it is handed on.

    answer -> meaning -> commit -> read back what overlaps -> receipt

Every attempt's intent ends here: with its commit, or at once where there is nothing to
commit, or as a doubt (`settling.doubts`). After the API's 2xx nothing here fails: what
cannot be done now is done later, and the receipt says `deferred`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from httpproxy.exchange.attempt import DEFERRED, NOTHING, UNMAPPED, Attempt, Call, Receipt
from httpproxy.exchange.forwarding import idempotency
from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.schema.rediscovery import Hint, Rediscovery
from httpproxy.exchange.settling.overlaps import Settlement, Unsettled
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.errors import Forgotten, SetAside, Unavailable
from httpproxy.store.intents.book import Intents
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.tasks import Spawn
from httpproxy.telemetry.course import COMMIT, SETTLE
from httpproxy.upstream.deadlines import Deadlines
from providers.http import Response
from providers.record import Change, Dirty
from providers.spec import Action, Exchange, Unreadable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intake:
    """Takes answers in. `deadlines` limit a commit before it is deferred."""

    committer: Committer
    intents: Intents
    settlement: Settlement
    rediscovery: Rediscovery
    deadlines: Deadlines
    spawn: Spawn

    async def take_in(self, attempt: Attempt, response: Response) -> Receipt:
        """What became of the answer. Raises nothing but what ends the task."""
        if response.status >= 500:  # what it changed before it failed, nobody knows
            self._doubt(attempt, f"the API answered {response.status}")
            return NOTHING
        if not response.ok:
            self._close(attempt, response)
            return NOTHING
        try:
            return await self._committed(attempt, response)
        except Exception:  # the API has accepted the call: its answer goes out, always
            request_id = attempt.call.request_id
            log.exception("request %s: commit failed after the API's answer", request_id)
            self._doubt(attempt, "the commit failed")
            return DEFERRED

    def unanswered(self, attempt: Attempt, rejected: Rejected) -> None:
        """No answer came: the call is over if it was not sent, and else in doubt."""
        if rejected.sent == "no":
            self._close(attempt, None)
        else:
            self._doubt(attempt, rejected.code)

    async def _committed(self, attempt: Attempt, response: Response) -> Receipt:
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
            call.origin,
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
        if attempt.intent is None and not self.committer.available:
            return await self._queue(commit)
        deadlines, request_id = self.deadlines, commit.request_id
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

    async def _queue(self, commit: Commit) -> Receipt:
        """Has the commit of a call that was sent without the database made when that is
        back. To wait for it would make every call of an outage as slow as can be."""
        try:
            async with asyncio.timeout(0):
                await self.committer.commit(commit)
        except TimeoutError:
            pass
        except Unavailable as error:
            log.warning("request %s: %s, and no intent was kept", commit.request_id, error)
        return DEFERRED

    async def _receipt(self, attempt: Attempt, commit: Commit, applied: Applied) -> Receipt:
        if not applied.overlaps:
            return Receipt("applied", applied.rows, applied.token)
        call, request_id = attempt.call, commit.request_id
        call.course.enter(SETTLE)
        open_ = Unsettled(
            applied.overlaps, request_id, commit.intent, commit.answer, commit.origin
        )
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

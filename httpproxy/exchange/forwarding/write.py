"""A call of the application, carried to the API.

    what is kept under its key -> permit -> intent -> send -> `intake`

The intent is in the database before the first byte leaves, and ends in the transaction of
the commit: whatever ends us in between, another process finds it and reads again what the
call may have changed (`settling.doubts`). The call leaves at most once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from httpproxy.exchange.attempt import NOTHING, REPLAYED, Attempt, Call, Receipt
from httpproxy.exchange.authorization.account import Accounts
from httpproxy.exchange.directory.allotment import answer_under, permit_for
from httpproxy.exchange.directory.syncs import Live, tables_of
from httpproxy.exchange.forwarding import idempotency
from httpproxy.exchange.forwarding.intake import Intake
from httpproxy.exchange.problems import Rejected, database_away
from httpproxy.store.commits.commit import Committer
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.values import Claim, Intent, Kept, KeyInUse
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry
from httpproxy.telemetry.course import INTENT, PERMIT, SEND
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.deadlines import Deadlines
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Permit
from providers.http import Response
from providers.spec import Action

_UNCOMMITTED: Final = "the result could not be committed"


@dataclass(frozen=True)
class Writes:
    """Carries calls.

    A call waits `permit_timeout` seconds for its permit, and as long as `deadlines` say
    for its intent. `wall_clock` gives seconds since the epoch (for Retry-After). `trusted`:
    whether the permits and intents of this process are still its own. With `forwards_blind`,
    calls are sent even while the database is away and no intent can be kept.
    """

    client: UpstreamClient
    committer: Committer
    intents: Intents
    registry: Registry
    accounts: Accounts
    intake: Intake
    permit_timeout: float
    deadlines: Deadlines
    wall_clock: Callable[[], float]
    trusted: Callable[[], bool]
    forwards_blind: bool = False

    async def carry(self, call: Call) -> tuple[Response, Receipt]:
        """The API's answer, and what became of it.

        Raises Rejected if the call was not sent, or was and no answer came.
        """
        if call.match.route.action is Action.READ:
            permit = await self._permit(call, Priority.READ)
            return await self._sent(call, permit, Priority.READ), NOTHING
        claim = idempotency.claim_of(call.request, lambda: self._mark(call))
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
            raise database_away(_UNCOMMITTED) from error

    def _mark(self, call: Call) -> bytes:
        """Who calls: the token, or the key that came in its place, is known again by it."""
        return self.accounts.mark(call.request.headers) if call.caller is None else call.caller

    async def _again(self, call: Call, claim: Claim, kept: Kept) -> Response:
        """What the call's key stands for. The API is not asked: whose token this is must
        be known, and of an API key of ours it is."""
        if call.caller is None and not idempotency.is_same_caller(kept, claim):
            try:
                proven = await self.accounts.proven(call.live, call.request.headers)
            except OSError as error:
                raise database_away(_UNCOMMITTED) from error
            if not proven:
                raise Rejected(
                    "token_unproven",
                    "This Idempotency-Key was used with another token, and what became of"
                    " that call is told to nobody else. Send that token, or the sync's own.",
                )
        return idempotency.replay(kept, claim)

    async def _tables(self, live: Live) -> SyncTables:
        if not self.committer.available and not self.forwards_blind:
            raise database_away(_UNCOMMITTED)
        if live.tables is not None:
            return live.tables
        try:
            return await tables_of(live, self.registry)
        except OSError as error:
            raise database_away(_UNCOMMITTED) from error

    async def _permit(self, call: Call, priority: Priority) -> Permit:
        call.course.enter(PERMIT)
        allotment, budget = call.live.allotment, call.match.route.budget
        permit = allotment.limiter.take(allotment.lane(budget), priority)
        if permit is None:
            permit = await permit_for(allotment, budget, priority, self.permit_timeout)
        return permit

    async def _begin(self, call: Call, tables: SyncTables, claim: Claim | None) -> Attempt:
        """Keeps the intent. Raises Rejected if the database is away, and KeyInUse."""
        call.course.enter(INTENT)
        start = self.committer.clock()
        if self.forwards_blind and claim is None and not self.intents.available:
            return Attempt(call, tables, start, None, keyed=False)
        intent = Intent(
            call.live.sync.id, call.request, start, call.request_id, claim, call.origin
        )
        deadline = self.deadlines.start()
        number: int | None = None
        try:
            number = await self.intents.begin(intent)
        except asyncio.CancelledError:
            if not self.deadlines.ours(deadline):
                raise
            self._go_blind(claim)
        except Unavailable:
            self._go_blind(claim)
        finally:
            self.deadlines.end(deadline)
        # What was committed meanwhile lies before this call, not beside it.
        return Attempt(call, tables, self.committer.clock(), number, claim is not None)

    def _go_blind(self, claim: Claim | None) -> None:
        """No intent could be kept. A call with a key is not sent then, in any case."""
        if claim is not None or not self.forwards_blind:
            raise database_away(_UNCOMMITTED)

    # --- the call ------------------------------------------------------------------------

    async def _write(self, attempt: Attempt, permit: Permit) -> tuple[Response, Receipt]:
        try:
            response = await self._sent(attempt.call, permit, Priority.WRITE)
        except Rejected as rejected:
            self.intake.unanswered(attempt, rejected)
            raise
        return response, await self.intake.take_in(attempt, response)

    async def _sent(self, call: Call, permit: Permit, priority: Priority) -> Response:
        """The answer; to another request where a stored token was replaced on the way. A 401
        says that the API has done nothing: the call leaves once with a token that is good."""
        response = await self._send(call, permit)
        if response.status != 401 or call.renew is None:
            return response
        request = await call.renew()
        if request is None:
            return response
        again = await self._permit(call, priority)
        return await self._send(call._replace(request=request), again)

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
        allotment, budget = call.live.allotment, call.match.route.budget

        def heed(response: Response) -> None:
            allotment.heed(budget, response, self.wall_clock())

        return await answer_under(permit, self.client.send(call.request), heed)

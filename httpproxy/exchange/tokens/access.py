"""The access tokens that stored credentials stand for, good at this moment.

    current    the token for a call that leaves now
    answered   what the API answers to a call with it
    replaced   the API said 401: another token to send the same call with, if there is one
    keep       refreshes what nobody asks for, so that it is good when somebody does

A token is refreshed ahead of its end, by one process for all of them (`refreshing`). Whoever
asks meanwhile gets the one that is still good; only where it is at its end do calls wait.
Some APIs (Airtable) end the old token with the refresh, in the middle of other calls: those
get a 401, which means that nothing was done, and are sent again with the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.tokens.lifetimes import Lifetime
from httpproxy.exchange.tokens.refreshing import (
    CredentialTrouble,
    Refresher,
    not_refreshed,
    oauth_of,
    unusable,
)
from httpproxy.store.credentials.refreshes import StoredTokens
from httpproxy.store.credentials.values import TokenPair
from httpproxy.store.errors import KeyMismatch
from httpproxy.tasks import Spawn
from providers.credentials import Grant
from providers.http import Response

log = logging.getLogger(__name__)

PATIENCE: Final = 30.0  # seconds that a call waits for a refresh
LOOK_AGAIN: Final = 0.2  # seconds, while another process refreshes
KEPT_SECONDS: Final = 10.0  # how long a token is believed by those who hear of no changes
EARLY_SECONDS: Final = 60.0  # at most one refresh for a 401, in so many seconds
KEEP_SECONDS: Final = 2.0
MOST: Final = 16  # refreshes at once
SETTLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A credential's tokens as they were read; times are of this process's clock."""

    tokens: StoredTokens
    life: Lifetime
    read_at: float

    @property
    def token(self) -> str:
        return self.tokens.access_token

    def is_good(self, now: float) -> bool:
        return bool(self.token) and self.life.is_good(now)


class Tokens:
    """The tokens of stored credentials, as this process knows them.

    `spawn` is given where there is a service: without one, tokens are refreshed at their
    end only. What is asked raises LookupError for a credential that is gone, KeyMismatch,
    OSError if the database is away, and CredentialTrouble.
    """

    def __init__(self, refresher: Refresher, clock: Callable[[], float]) -> None:
        self.spawn: Spawn | None = None
        self._refresher = refresher
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._unstored: dict[str, _Known] = {}
        self._under_way: dict[str, asyncio.Future[_Known]] = {}
        self._early: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def current(self, credential_id: str, *, watched: bool = False) -> str:
        """The token for a call that leaves now. `watched`: who asks calls `forget` when the
        credential has changed."""
        now = self._clock()
        known = self._known.get(credential_id)
        if known is None or not (watched or now - known.read_at < KEPT_SECONDS):
            known = await self._looked(credential_id, known)
        if not known.is_good(now):
            return (await self._anew(credential_id)).token
        if known.life.is_due(now) and self.spawn is not None and oauth_of(known.tokens):
            self._begin(credential_id)
        return known.token

    async def replaced(self, credential_id: str, token: str) -> str | None:
        """Another token than this one, which the API answered with 401; None if there is
        none: the 401 is what there is to say. Raises nothing."""
        try:
            known = await self._look(credential_id)
            if known.token == token:
                if oauth_of(known.tokens) is None or self._was_early(credential_id):
                    return None
                known = await self._anew(credential_id, token)
            elif not known.is_good(self._clock()):
                known = await self._anew(credential_id)
        except (Rejected, LookupError, KeyMismatch, OSError) as error:
            log.info("credential %s: no other token after a 401: %s", credential_id, error)
            return None
        return known.token if known.token != token else None

    async def answered(
        self,
        credential_id: str,
        send: Callable[[str], Awaitable[Response]],
        *,
        watched: bool = False,
    ) -> Response:
        """The answer to a call, which `send` sends with the token that it is given. A 401
        says that the API has done nothing: the call leaves once more, if there is another
        token. `watched` as of `current`."""
        token = await self.current(credential_id, watched=watched)
        response = await send(token)
        if response.status != 401:
            return response
        again = await self.replaced(credential_id, token)
        return response if again is None else await send(again)

    @property
    def refreshes(self) -> Mapping[tuple[str, str], int]:
        """How often this process refreshed: by provider and outcome, as of Refresher."""
        return self._refresher.outcomes

    def forget(self, credential_id: str | None) -> None:
        """The credential may have changed: it is read anew."""
        self._known.pop(credential_id or "", None)

    async def keep(self) -> None:
        """Refreshes whatever is due, until it is cancelled or the service ends."""
        while self.spawn is not None:
            due: list[str] = []
            try:
                due = await self._refresher.refreshes.due(MOST)
                for credential_id in due:
                    # It may have ended while the database was asked: then nothing is begun.
                    if self.spawn is not None and len(self._under_way) < MOST:
                        self._begin(credential_id)
            except OSError:
                log.warning("which tokens are to be refreshed cannot be read")
            except Exception:  # a query that an administrator cancels ends no service
                log.exception("which tokens are to be refreshed could not be read")
            await asyncio.sleep(KEEP_SECONDS if len(due) < MOST else LOOK_AGAIN)

    async def settled(self) -> None:
        """Waits until nothing is being refreshed: what an API gave is stored before the
        process ends. Nothing more is begun."""
        self.spawn = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), SETTLE_SECONDS)

    # --- one refresh for all who ask ----------------------------------------------------

    def _was_early(self, credential_id: str) -> bool:
        """Whether a 401 has just brought a refresh: an API that refuses whatever it gave is
        not asked for more with every call."""
        last = self._early.get(credential_id)
        recent = last is not None and self._clock() - last < EARLY_SECONDS
        return recent and credential_id not in self._under_way

    async def _anew(self, credential_id: str, refused: str | None = None) -> _Known:
        if self.spawn is None:
            return await self._refreshed(credential_id, refused, lambda _: None)
        try:
            async with asyncio.timeout(PATIENCE):
                known = await asyncio.shield(self._begin(credential_id, refused))
                # One may have been under way that knew of no refusal.
                while known.token == refused:
                    await asyncio.sleep(LOOK_AGAIN)
                    if self._was_early(credential_id):
                        break
                    known = await asyncio.shield(self._begin(credential_id, refused))
                return known
        except TimeoutError as error:
            raise not_refreshed("It takes too long.", 1.0) from error

    def _begin(self, credential_id: str, refused: str | None = None) -> asyncio.Future[_Known]:
        """The refresh that is under way, begun if there is none."""
        asked = self._under_way.get(credential_id)
        if asked is None and self.spawn is not None:
            self._idle.clear()
            asked = self._under_way[credential_id] = asyncio.get_running_loop().create_future()
            self.spawn(self._run(credential_id, refused, asked), f"refresh {credential_id}")
        if asked is None:
            raise not_refreshed("This process is about to end.", 1.0)
        return asked

    async def _run(
        self, credential_id: str, refused: str | None, asked: asyncio.Future[_Known]
    ) -> None:
        def told(known: _Known) -> None:
            if not asked.done():
                asked.set_result(known)

        try:
            told(await self._refreshed(credential_id, refused, told))
        except Exception as error:  # noqa: BLE001  # for who waits, if anybody does
            if not asked.done():
                asked.set_exception(error)
                asked.exception()
        finally:
            if not asked.done():
                asked.set_exception(not_refreshed("This process ends.", 1.0))
                asked.exception()
            del self._under_way[credential_id]
            if not self._under_way:
                self._idle.set()

    async def _refreshed(
        self, credential_id: str, refused: str | None, told: Callable[[_Known], None]
    ) -> _Known:
        """The tokens after a refresh, ours or another process's. `refused` is a token that
        the API does not take; `told` hears of new ones before they are stored."""
        deadline = self._clock() + PATIENCE
        while True:
            known = await self._look(credential_id)
            now = self._clock()
            good = known.is_good(now) and known.token != refused
            if good and not known.life.is_due(now):
                return known
            if oauth_of(known.tokens) is None and not known.life.is_due(now):
                trouble = unusable(credential_id, known.tokens.trouble)
                return self._at_least(known, good, trouble)
            wait = None if known.life.due is None else known.life.due - now
            if known.tokens.trouble and wait is not None and wait > 0:
                trouble = not_refreshed(known.tokens.trouble, wait)
                return self._at_least(known, good, trouble)
            try:
                fresh = await self._once(known, told)
            except CredentialTrouble as trouble:
                return self._at_least(await self._look(credential_id), good, trouble)
            if fresh is not None and known.token == refused:
                self._early[credential_id] = now
            if fresh is not None or good:
                return fresh or known
            if self._clock() > deadline:
                raise not_refreshed("Another process has been at it for long.", 1.0)
            await asyncio.sleep(LOOK_AGAIN)

    @staticmethod
    def _at_least(known: _Known, good: bool, trouble: CredentialTrouble) -> _Known:
        """A token that could not be refreshed is used as long as it is good."""
        if not good:
            raise trouble
        return known

    async def _once(self, known: _Known, told: Callable[[_Known], None]) -> _Known | None:
        """One refresh by this process; None if another one has it at hand."""
        id_ = known.tokens.credential_id

        def use(grant: Grant) -> None:
            now = self._clock()
            pair = TokenPair(
                grant.access_token, grant.refresh_token or known.tokens.refresh_token
            )
            fresh = _Known(
                replace(known.tokens, tokens=pair, trouble=None),
                Lifetime.counted(now, grant.expires_in, None),
                now,
            )
            self._known[id_] = self._unstored[id_] = fresh
            told(fresh)

        try:
            if await self._refresher.refresh(known.tokens, use) is None:
                return None
        finally:
            self._unstored.pop(id_, None)
        return await self._look(id_)

    async def _looked(self, credential_id: str, before: _Known | None) -> _Known:
        """`_look`; while the database is away, what was known before does."""
        try:
            return await self._look(credential_id)
        except OSError:
            if before is None:
                raise
            return before

    async def _look(self, credential_id: str) -> _Known:
        """The tokens as they are stored; or those that wait to be, in their place."""
        before, waiting = self._known.get(credential_id), self._unstored.get(credential_id)
        try:
            stored = await self._refresher.refreshes.tokens_of(credential_id)
        except LookupError:
            self._known.pop(credential_id, None)
            raise
        now = self._clock()
        unstored = self._unstored.get(credential_id) or waiting
        if unstored is not None and unstored.tokens.generation == stored.generation:
            return unstored
        newer = self._known.get(credential_id)
        if newer not in (None, before) and newer.tokens.generation >= stored.generation:
            return newer  # what was read here was replaced while it was on its way
        life = Lifetime.counted(now, stored.remaining, stored.due)
        known = self._known[credential_id] = _Known(stored, life, now)
        return known

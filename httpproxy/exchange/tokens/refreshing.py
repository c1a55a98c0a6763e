"""One refresh of a credential's tokens: lease, call, commit.

    lease       nobody else refreshes it, in any process; no transaction is held open
    sent        noted before the refresh token leaves: it may be spent from here on
    call        once; never repeated, for the next one needs the next refresh token
    store       what came is the only copy there is: it is stored however late, unless the
                credential has got another secret meanwhile

Whoever is killed between the call and the store leaves a lease that runs out. The next one
tries with the refresh token that is stored: where the API takes it again (HubSpot), nothing
was lost; where it is used once (Airtable), the account's owner has to authorise the app
anew, and is told why.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.tokens.lifetimes import pause_after, refresh_in
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.refreshes import Lease, Refreshes, StoredTokens
from httpproxy.store.errors import KeyMismatch
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.errors import UpstreamError
from providers.catalog import PROVIDERS
from providers.credentials import Grant, OAuth
from providers.http import Request
from providers.oauth import secrets_in
from providers.spec import Refused

log = logging.getLogger(__name__)

LEASE_SECONDS: Final = 45.0
CALL_SECONDS: Final = 30.0  # less than the lease: who waits for longer has lost it
STORE_AGAIN: Final = 0.5  # seconds
STORE_PATIENCE: Final = 600.0
_LONGEST: Final = 500  # characters of what an API says

_AGAIN: Final = "It is tried again by itself."
_LOST: Final = (
    "The refresh token was sent by a process that ended before it could store the answer, and"
    " the API takes each only once:"
)


class CredentialTrouble(Rejected):
    """A stored credential gives no token that works: `detail` says why.

    `remedy` is for whoever looks after the sync.
    """

    def __init__(
        self, code: str, detail: str, remedy: str, retry_after: float | None = None
    ) -> None:
        super().__init__(code, detail, retry_after=retry_after)
        self.remedy = remedy


def unusable(credential_id: str, trouble: str | None) -> CredentialTrouble:
    """The token is at its end, and no refresh will bring another one."""
    why = trouble or "The access token has expired, and there is nothing to refresh it by."
    return CredentialTrouble(
        "credential_unusable",
        f"The stored credential cannot be used any more. {why}",
        f"Store new tokens in the credential {credential_id}.",
    )


def not_refreshed(trouble: str, retry_in: float | None) -> CredentialTrouble:
    """The token is at its end, and could not be refreshed just now."""
    detail = f"The stored credential's access token could not be refreshed. {trouble}"
    return CredentialTrouble("token_not_refreshed", detail, _AGAIN, retry_in)


def oauth_of(stored: StoredTokens) -> OAuth | None:
    """How a credential is refreshed, None if it cannot be."""
    provider = PROVIDERS.get(stored.provider)
    kinds = provider.credential_kinds if provider is not None else ()
    oauth = next((kind.oauth for kind in kinds if kind.name == stored.kind), None)
    able = stored.refresh_token and stored.app_id and not stored.spent
    return oauth if able else None


class _Failure(Exception):
    """Why a refresh came to nothing."""

    def __init__(self, said: str, remedy: str, *, spent: bool = False) -> None:
        super().__init__(said)
        self.said, self.remedy, self.spent = said, remedy, spent

    def words(self, stored: StoredTokens) -> str:
        """What is wrong, without any token."""
        said = self.said
        if self.spent and stored.interrupted:
            said = f"{_LOST} {said}"
        elif self.spent and stored.trouble:
            said = f"{said} (before: {stored.trouble})"
        for secret in (stored.access_token, stored.refresh_token):
            said = said.replace(secret, "…") if secret else said
        return f"{said[:_LONGEST].rstrip('.')}. {self.remedy}"


@dataclass(frozen=True)
class Refresher:
    """Refreshes credentials under the name `holder`, which no other process has.

    `clock` is monotonic, in seconds. `outcomes` counts by provider what became of refreshes:
    "refreshed", "failed" (to be tried again), "spent" (the refresh token is of no use).
    """

    refreshes: Refreshes
    apps: Apps
    client: UpstreamClient
    holder: str
    clock: Callable[[], float]
    lease_seconds: float = LEASE_SECONDS
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _failures: dict[str, int] = field(default_factory=dict)

    async def refresh(self, stored: StoredTokens, use: Callable[[Grant], None]) -> Grant | None:
        """New tokens for a credential, stored; `use` is shown them before that.

        None if another process has it at hand, or the secret is another one by now. Raises
        CredentialTrouble, which is stored too, OSError if the database is away, KeyMismatch,
        LookupError.
        """
        lease = Lease(stored.credential_id, stored.generation, self.holder)
        leased = await self.refreshes.lease(lease, self.lease_seconds)
        if leased is None:
            return None
        try:
            oauth, request = await self._request(leased)
            if not await self.refreshes.sent(lease):
                return None
            began = self.clock()
            grant = await self._asked(oauth, request)
        except _Failure as failure:
            raise await self._failed(lease, leased, failure) from failure
        self._failures.pop(stored.credential_id, None)
        use(grant)
        await self._store(lease, grant, began)
        self.outcomes[stored.provider, "refreshed"] += 1
        return grant

    async def _request(self, stored: StoredTokens) -> tuple[OAuth, Request]:
        oauth, app_id = oauth_of(stored), stored.app_id
        if oauth is None or app_id is None or stored.refresh_token is None:
            raise _Failure("Nothing says how to refresh it", "Store an OAuth app with it.")
        try:
            keys = await self.apps.keys(app_id)
        except LookupError as error:
            raise _Failure(str(error), "Store an OAuth app with it.") from error
        except KeyMismatch as error:
            raise _Failure(f"the OAuth app: {error}", "See docs/security.md.") from error
        return oauth, oauth.refresh(keys, stored.refresh_token)

    async def _asked(self, oauth: OAuth, request: Request) -> Grant:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                response = await self.client.send(request)
            return oauth.read(response if response.ok else response.hiding(secrets_in(request)))
        except UpstreamError as error:
            raise _Failure(error.detail, _AGAIN) from error
        except TimeoutError as error:
            raise _Failure("the API did not answer in time", _AGAIN) from error
        except Refused as no:
            said = f"{no.response.status} {no.said}"
            raise _Failure(said, no.remedy, spent=no.spent) from no

    async def _failed(
        self, lease: Lease, stored: StoredTokens, failure: _Failure
    ) -> CredentialTrouble:
        """Stores why, and when to try again."""
        id_ = lease.credential_id
        trouble = failure.words(stored)
        self._failures[id_] = self._failures.get(id_, 0) + 1
        self.outcomes[stored.provider, "spent" if failure.spent else "failed"] += 1
        retry_in = None if failure.spent else pause_after(self._failures[id_])
        log.warning("credential %s: its tokens were not refreshed: %s", id_, trouble)
        try:
            await self.refreshes.fail(lease, trouble, spent=failure.spent, retry_in=retry_in)
        except OSError as away:
            log.warning("credential %s: that cannot be stored: %s", id_, away)
        if failure.spent:
            return unusable(id_, trouble)
        return not_refreshed(trouble, retry_in)

    async def _store(self, lease: Lease, grant: Grant, began: float) -> None:
        """Stores the only copy that there is, as soon as there is a database."""
        id_ = lease.credential_id
        while True:
            aged = self._aged(grant, self.clock() - began)
            due = None if aged.expires_in is None else refresh_in(aged.expires_in)
            try:
                kept = await self.refreshes.store(lease, aged, due)
            except OSError as away:
                if self.clock() - began > STORE_PATIENCE:
                    log.exception("credential %s: its new tokens are lost", id_)
                    raise
                log.warning("credential %s: its new tokens wait for %s", id_, away)
                await asyncio.sleep(STORE_AGAIN)
                continue
            said = "refreshed" if kept else "refreshed, but has another secret by now"
            log.info("credential %s: %s", id_, said)
            return

    @staticmethod
    def _aged(grant: Grant, seconds: float) -> Grant:
        if grant.expires_in is None:
            return grant
        left = max(grant.expires_in - seconds, 0.0)
        return Grant(grant.access_token, grant.refresh_token, left)

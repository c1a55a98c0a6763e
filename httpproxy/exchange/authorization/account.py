"""Whose token is this? Nothing is forwarded for a token of another account.

Airtable names the account in the path: the base there must be the sync's, and the
API itself refuses a token without access to it. HubSpot's paths name no portal, so
the token is asked for once, by the API's own token-information call, and the answer
remembered under a keyed hash; the token itself is never stored.

A token that the API does not know goes on to the API, whose own 401 makes the
client's refresh logic work; whatever came back, nothing would be committed from it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Final

from multidict import MultiMapping

from httpproxy.exchange.conversations import Conversations, Principal
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.problems import Rejected
from httpproxy.upstream.lane import Priority
from providers.spec import Provider, Refused, Unrecognised

KEPT_SECONDS: Final = 300.0
KEPT_TOKENS: Final = 10_000


class Accounts:
    """Checks that a call belongs to the sync's account."""

    def __init__(
        self,
        conversations: Conversations,
        fingerprint: Callable[[str], bytes],
        clock: Callable[[], float],
    ) -> None:
        self._conversations = conversations
        self._fingerprint = fingerprint
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._asked: dict[bytes, asyncio.Future[str | None]] = {}

    def named(self, live: Live, variables: Mapping[str, str]) -> bool:
        """Whether the path alone shows that the call is the account's own.

        False where paths name no account: ask `verified`. Raises Rejected (403).
        """
        return names_account(live.provider, live.sync.account, variables)

    async def verified(self, live: Live, headers: MultiMapping[str]) -> bool:
        """Whether the token is the account's own; False if the API must say no itself.

        Raises Rejected: 403 for another account, 502 if the API would not tell.
        """
        token = _bearer(headers)
        if token is None:
            return False
        account = await self._account_of(live, token)
        if account is None:
            return False
        if account != live.sync.account:
            raise Rejected(
                "token_of_another_account",
                f"This sync belongs to account {live.sync.account}; the token to another."
                " Use that account's own API root.",
            )
        return True

    async def proven(self, live: Live, headers: MultiMapping[str]) -> bool:
        """Whether the token is the account's own, for a call that the API will not see: it
        cannot say no itself.

        The sync's own credential is that without a call. Raises what `verified` raises,
        and OSError if the database is away.
        """
        token = _bearer(headers)
        if token is None:
            return False
        own = await self._conversations.secret(live) if live.sync.credential_id else ""
        if compare_digest(*(each.encode(errors="surrogateescape") for each in (own, token))):
            return True
        return live.provider.identify is not None and await self.verified(live, headers)

    def mark(self, headers: MultiMapping[str]) -> bytes:
        """32 bytes by which the same token is known again, and nothing else is."""
        return self._fingerprint(headers.get("Authorization", ""))

    async def _account_of(self, live: Live, token: str) -> str | None:
        mark, now = self._fingerprint(token), self._clock()
        known = self._known.get(mark)
        if known is not None and known[1] > now:
            return known[0]
        asked = self._asked.get(mark)
        if asked is not None:
            return await asyncio.shield(asked)
        account = await self._ask(live, token, mark)
        if account is not None:
            self._known[mark] = (account, now + KEPT_SECONDS)
            self._known.move_to_end(mark)
            if len(self._known) > KEPT_TOKENS:
                self._known.popitem(last=False)
        return account

    async def _ask(self, live: Live, token: str, mark: bytes) -> str | None:
        """Asks the API; calls that come meanwhile wait for the same answer."""
        asked: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._asked[mark] = asked
        problem = Rejected("account_unknown", "The token could not be checked. Try again.")
        try:
            account = await self._identify(live, token)
            asked.set_result(account)
        except Rejected as rejected:
            problem = rejected
            raise
        finally:
            del self._asked[mark]
            if not asked.done():
                asked.set_exception(problem)
                asked.exception()  # nobody else may have waited
        return account

    async def _identify(self, live: Live, token: str) -> str | None:
        identify = live.provider.identify
        if identify is None:
            raise TypeError(f"{live.provider.name} names no account, in path or by token")
        try:
            # A call of the application waits for it, so it is no re-read of ours.
            principal = Principal(live.allotment, token, Priority.READ)
            return await self._conversations.converse_as(principal, identify(token))
        except Unrecognised:
            return None
        except Refused as refused:
            raise Rejected(
                "account_unknown",
                f"{live.provider.title} would not say whose token this is:"
                f" it answered {refused.response.status}. Try again.",
                retry_after=5,
            ) from refused


def names_account(provider: Provider, account: str, variables: Mapping[str, str]) -> bool:
    """Whether a path alone shows that a call is this account's; False where paths name no
    account. Raises Rejected (403) if it names another one."""
    if provider.account_variable is None:
        return False
    named = variables.get(provider.account_variable)
    if named is not None and named != account:
        raise Rejected(
            "path_of_another_account",
            f"This sync belongs to {account}; the path names another"
            f" {provider.account_variable}. Use that one's own API root.",
        )
    return True


def _bearer(headers: MultiMapping[str]) -> str | None:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None

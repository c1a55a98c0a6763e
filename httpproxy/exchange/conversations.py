"""Our own calls to an API: identify a token, discover collections, read records again.

What is asked, and what the answers mean, is the provider's conversation; here it is
driven: a permit for each call, the credential added, the answer sent back in. Calls
are reads, so `upstream.client` may repeat them; they never pass for the application's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from httpproxy.exchange.directory.allotment import Allotment, permit_for
from httpproxy.exchange.directory.apis import APIS
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.problems import failed
from httpproxy.exchange.tokens.access import Tokens
from httpproxy.store.registry import Sync
from httpproxy.telemetry.tally import Tally
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.errors import UpstreamError
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter, Permit
from httpproxy.upstream.repeat import ReadRules
from providers.credentials import Inspection
from providers.http import Request, Response
from providers.record import Collection
from providers.spec import Conversation, Provider

T = TypeVar("T")

PATIENCE: Final = 60.0  # seconds that a call of ours waits for its permit


@dataclass(frozen=True, slots=True)
class Principal:
    """In whose name, and with whose credential, a conversation is held.

    `credential`: the id of a stored one, whose token of the moment goes with each call in
    place of `token`. Each call waits `patience` seconds for its permit. `tally` is told of
    every attempt that was sent, repeated ones too: that is what the API counts.
    """

    allotment: Allotment
    token: str = field(default="", repr=False)
    priority: Priority = Priority.READ
    patience: float = PATIENCE
    tally: Callable[[], None] | None = None
    credential: str | None = None


class Conversations:
    """Holds conversations with APIs."""

    def __init__(
        self,
        client: UpstreamClient,
        limiter: Limiter,
        tokens: Tokens,
        wall_clock: Callable[[], float],
        tally: Tally | None = None,
    ) -> None:
        """`wall_clock` gives seconds since the epoch (for Retry-After); `tally` counts the
        answers."""
        self._client = client
        self._limiter = limiter
        self._tokens = tokens
        self._wall_clock = wall_clock
        self._tally = tally

    async def converse(
        self,
        live: Live,
        conversation: Conversation[T],
        priority: Priority = Priority.REREAD,
        *,
        patience: float = PATIENCE,
        tally: Callable[[], None] | None = None,
    ) -> T:
        """Holds a conversation for a sync, with its stored credential: see `Principal`."""
        await self.secret(live)
        stored = live.sync.credential_id
        principal = Principal(live.allotment, "", priority, patience, tally, stored)
        return await self.converse_as(principal, conversation)

    async def converse_as(self, principal: Principal, conversation: Conversation[T]) -> T:
        """Holds a conversation to its end and returns its result.

        Raises what the conversation raises (Refused, Unrecognised …), and Rejected if
        the API cannot be reached or the lane has no room in time.
        """
        try:
            request = next(conversation)
            while True:
                request = conversation.send(await self._ask(principal, request))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            conversation.close()

    async def identify(self, provider: Provider, token: str) -> str | None:
        """The account of a token, None where the provider's paths name it instead."""
        if provider.identify is None:
            return None
        return await self._before(provider, "", token, provider.identify(token))

    async def inspect(self, provider: Provider, token: str, account: str | None) -> Inspection:
        """What a token is for and may do; with an account, whether it reaches that."""
        return await self._before(
            provider, account or "", token, provider.inspect(token, account)
        )

    async def discover(
        self, provider: Provider, account: str, token: str, wanted: Sequence[str]
    ) -> tuple[Collection, ...]:
        """The wanted collections of an account, before there is a sync for it."""
        conversation = provider.discover(account, tuple(wanted) or None)
        return await self._before(provider, account, token, conversation)

    async def _before(
        self, provider: Provider, account: str, token: str, conversation: Conversation[T]
    ) -> T:
        """Holds a conversation at the provider's own rate, which counts until its end."""
        allotment = Allotment(APIS[provider.name], account, self._limiter)
        # An owner of its own: another conversation's end does not end this one's share.
        allotment.owner = f"before {id(allotment)}"
        try:
            return await self.converse_as(Principal(allotment, token), conversation)
        finally:
            allotment.give_back()

    async def secret(self, live: Live) -> str:
        """The sync's stored credential: its token of this moment. Raises LookupError if it
        has none, KeyMismatch, OSError, CredentialTrouble."""
        stored = live.sync.credential_id
        if stored is None:
            raise LookupError(f"sync {live.sync.id} has no stored credential")
        if live.secret is None:  # the sync or its credential has changed
            self._tokens.forget(stored)
        live.secret = await self._tokens.current(stored, watched=True)
        return live.secret

    async def token_of(self, sync: Sync) -> str:
        """The token of a sync's stored credential, for those who look at it once. Raises
        what `secret` raises."""
        if sync.credential_id is None:
            raise LookupError(f"sync {sync.id} has no stored credential")
        return await self._tokens.current(sync.credential_id)

    async def _ask(self, principal: Principal, request: Request) -> Response:
        """The answer to one call; with another token, if the stored one was refused."""
        stored = principal.credential
        if stored is None:
            return await self._fetch(principal, request, principal.token)
        return await self._tokens.answered(
            stored, lambda token: self._fetch(principal, request, token), watched=True
        )

    async def _fetch(self, principal: Principal, request: Request, token: str) -> Response:
        api = principal.allotment.api
        match = api.router.match(request.method, request.host, request.path)
        budget = match.route.budget if match else api.provider.budgets[0].name
        provider, allotment = api.provider, principal.allotment

        def observe(answer: Response) -> None:
            allotment.heed(budget, answer, self._wall_clock())
            if self._tally is not None:
                self._tally.heard(provider.name, answer.status)

        # Asked before every attempt: a repeated read is another call under the limit.
        async def admit() -> Permit:
            return await permit_for(allotment, budget, principal.priority, principal.patience)

        rules = ReadRules(
            admit=admit,
            count=principal.tally,
            observe=observe,
            terminal=lambda answer: answer.status == 429 and provider.pause(answer) is None,
        )
        try:
            answer = await self._client.fetch(provider.authorize(request, token), rules)
        except UpstreamError as error:
            raise failed(error, sent="no") from error
        return answer if answer.ok else answer.hiding((token,))

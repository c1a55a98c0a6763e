"""How a read of our own is repeated: aiohttp-retry, with our tables in its slots.

aiohttp-retry calls the session once per attempt. What has to happen per attempt, a
permit and a deadline of its own and reading the whole body while the permit is held,
is a middleware, so that no attempt can slip past the rate limit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp_retry import RetryOptionsBase

from httpproxy.upstream import retry
from httpproxy.upstream.errors import UpstreamError
from providers.http import Response


class Admission(Protocol):
    """A permit for one attempt (`httpproxy.upstream.limiter.Permit`)."""

    def release(self) -> None: ...

    def withdraw(self) -> None: ...


def _never(_: Response) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What a read of our own must mind.

    admit     waits for a permit; asked before every attempt, None for no limit
    count     is told of every attempt that was sent, whatever came of it
    observe   is shown every attempt's answer while its permit is held, so that a 429
              pauses the lane before the next one goes
    terminal  knows refusals that time will not heal in minutes: they are not repeated
    attempts  how many, the first included
    """

    admit: Callable[[], Awaitable[Admission]] | None = None
    count: Callable[[], None] | None = None
    observe: Callable[[Response], None] | None = None
    terminal: Callable[[Response], bool] = _never
    attempts: int = retry.ATTEMPTS


NO_RULES = ReadRules()

Exchange = Callable[
    [ClientRequest, ClientHandlerType], Awaitable[tuple[ClientResponse, Response]]
]


class Repeats(RetryOptionsBase):
    """aiohttp-retry's options for one read. `answer` is the last attempt's."""

    def __init__(self, rules: ReadRules, exchange: Exchange) -> None:
        super().__init__(
            attempts=rules.attempts,
            exceptions=retry.PASSING,
            retry_all_server_errors=False,
            evaluate_response_callback=self._final,
        )
        self._rules, self._exchange = rules, exchange
        self.answer: Response | None = None

    async def attempt(
        self, request: ClientRequest, handler: ClientHandlerType
    ) -> ClientResponse:
        """Middleware: one attempt under one permit."""
        self.answer = None
        rules = self._rules
        permit = None if rules.admit is None else await rules.admit()
        sent = True  # unless it is certain that nothing left
        try:
            raw, self.answer = await self._exchange(request, handler)
            if rules.observe is not None:
                rules.observe(self.answer)
        except UpstreamError as error:
            sent = error.sent != "no"
            if permit is not None and not sent:
                permit.withdraw()
            raise
        finally:
            if permit is not None:
                permit.release()
            if sent and rules.count is not None:
                rules.count()
        return raw

    def get_timeout(self, attempt: int, response: ClientResponse | None = None) -> float:
        """Seconds before the next attempt; `response` is None after an exception."""
        answer = None if response is None else self.answer
        dice = random.random()  # noqa: S311  spreads waits; nobody gains by guessing it
        return retry.wait_before(attempt, answer, time.time_ns() / 1e9, dice)

    async def _final(self, _: ClientResponse) -> bool:
        """True: this is the answer, do not ask again."""
        return self.answer is None or not retry.is_passing(self.answer, self._rules.terminal)

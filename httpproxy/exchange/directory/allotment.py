"""Whose rate limit a call counts against, and the wait for a permit under it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from httpproxy.exchange.directory.apis import Api
from httpproxy.exchange.problems import Rejected, failed
from httpproxy.upstream.budgets import strictest
from httpproxy.upstream.errors import UpstreamError, WaitExpired
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter, Permit
from httpproxy.upstream.retry import pause_asked
from providers.http import Response
from providers.spec import Budget

LaneKey = tuple[str, str, str]

KEPT_SECONDS: Final = 300.0  # how long a smaller rate that an answer stated holds


@dataclass(slots=True)
class _Stated:
    """A rate that answers stated, and when one did last (epoch seconds)."""

    rate: Budget
    at: float


class Allotment:
    """Whose rate limit a call counts against: an account's, under named budgets.

    Calls of all syncs and tokens of one account go through the same lanes, within the
    budgets of all of them. `owner` is the sync's id, or whatever tells calls before there
    is a sync apart. `rates` are what the user set: ceilings.
    """

    __slots__ = ("_gone", "_lanes", "_stated", "account", "api", "limiter", "owner", "rates")

    def __init__(
        self,
        api: Api,
        account: str,
        limiter: Limiter,
        rates: tuple[Budget, ...] = (),
        owner: str = "",
    ) -> None:
        self.api, self.account, self.limiter = api, account, limiter
        self.rates, self.owner = rates, owner
        self._lanes: dict[str, LaneKey] | None = None
        self._stated: dict[str, _Stated] | None = None
        self._gone = False

    def lane(self, budget: str) -> LaneKey:
        """The key of the lane for a budget; the rate is allotted on first use."""
        key = None if self._lanes is None else self._lanes.get(budget)
        if key is None:
            key = (self.api.provider.name, self.account, budget)
            if self._gone:  # a last call, which allots nothing for good
                self.limiter.visit(key, self.rate(budget))
            else:
                self._lanes = {**(self._lanes or {}), budget: key}
                self.limiter.lane(key, self.rate(budget), self.owner)
        return key

    def rate(self, budget: str) -> Budget:
        """What the account may use of a budget.

        That is what its answers state, and the provider's default before they do; but
        never more than the user set.
        """
        stated = (self._stated or {}).get(budget)
        held = next((rate for rate in self.rates if rate.name == budget), None)
        if held is None:
            return self._default(budget) if stated is None else stated.rate
        return held if stated is None else strictest((held, stated.rate))

    def _default(self, budget: str) -> Budget:
        provider = self.api.provider
        for rate in (*provider.default_rates, *provider.budgets):
            if rate.name == budget:
                return rate
        raise LookupError(f"{provider.name} has no budget {budget!r}")

    def heed(self, budget: str, response: Response, now: float) -> None:
        """Does what an answer asks for: the rate that it states, and silence.

        `now` is epoch seconds. Called for every answer, so it has to cost nothing.
        """
        stated = self.api.provider.allowed(budget, response)
        if stated is not None:
            self._learn(budget, stated, now)
        if response.status not in (429, 503):
            return
        asked = pause_asked(response.headers, now) or 0.0
        seconds = max(asked, self.api.provider.pause(response) or 0.0)
        if seconds > 0:
            self.limiter.pause(self.lane(budget), seconds)

    def _learn(self, budget: str, stated: Budget, now: float) -> None:
        """Takes a stated rate for the account's, from now on.

        Apps of one account may have different ones, and their calls share the lane: the
        smallest that was stated lately holds.
        """
        known = None if self._stated is None else self._stated.get(budget)
        if known is not None and (known.rate is stated or known.rate == stated):
            known.at = now
            return
        if stated.allowed_requests < 1 or stated.interval <= 0:
            return  # nothing that a lane could keep to
        rate = stated
        if known is not None and abs(now - known.at) < KEPT_SECONDS:
            rate = strictest((known.rate, stated))
            if rate == known.rate:
                return  # a larger one than we keep to, for as long as that holds
        self._stated = {**(self._stated or {}), budget: _Stated(rate, now)}
        if self._lanes is not None and budget in self._lanes:
            self.limiter.lane(self._lanes[budget], self.rate(budget), self.owner)

    def give_back(self) -> None:
        """The sync is gone or changed: its rates no longer count."""
        for key in (self._lanes or {}).values():
            self.limiter.forget(key, self.owner)
        self._lanes, self._gone = None, True


async def permit_for(
    allotment: Allotment, budget: str, priority: Priority, patience: float
) -> Permit:
    """A permit of the account's lane for a budget, awaited for `patience` seconds.

    Raises Rejected: 504, and nothing was sent.
    """
    try:
        return await allotment.limiter.acquire(allotment.lane(budget), priority, patience)
    except WaitExpired as expired:
        rate = allotment.rate(budget)
        raise Rejected(
            "permit_timeout",
            f"The rate limit of {rate.allowed_requests} per {rate.interval:g} s left no room"
            f" within {patience:g} s; the call was not sent.",
            retry_after=expired.expected_wait,
        ) from expired


async def answer_under(
    permit: Permit, answer: Awaitable[Response], heed: Callable[[Response], None]
) -> Response:
    """The answer to a call that is sent under a permit, which ends with it.

    `heed` is told the answer while the permit is held: a pause that it asks for comes before
    the next permit is let go. Raises Rejected if no answer came.
    """
    try:
        response = await answer
        heed(response)
    except UpstreamError as error:
        if error.sent == "no":
            permit.withdraw()
        raise failed(error, error.sent) from error
    finally:
        permit.release()
    return response

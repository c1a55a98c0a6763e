"""Whose rate limit a call counts against, and the wait for a permit under it."""

from __future__ import annotations

from httpproxy.exchange.apis import Api
from httpproxy.exchange.problems import Rejected
from httpproxy.upstream.errors import WaitExpired
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter, Permit
from httpproxy.upstream.retry import pause_asked
from providers.http import Response
from providers.spec import Budget

LaneKey = tuple[str, str, str]


class Allotment:
    """Whose rate limit a call counts against: an account's, under named budgets.

    Calls of all syncs and tokens of one account go through the same lanes, at the
    smallest rate that one of them is allotted. `owner` is the sync's id, or whatever tells
    calls before there is a sync apart.
    """

    __slots__ = ("_lanes", "account", "api", "limiter", "owner", "rates")

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

    def lane(self, budget: str) -> LaneKey:
        """The key of the lane for a budget; the rate is allotted on first use."""
        if self._lanes is None:
            self._lanes = {}
        key = self._lanes.get(budget)
        if key is None:
            key = self._lanes[budget] = (self.api.provider.name, self.account, budget)
            self.limiter.lane(key, self.rate(budget), self.owner)
        return key

    def rate(self, budget: str) -> Budget:
        """What the account may use of a budget: the sync's rate, or the provider's."""
        for rate in (*self.rates, *self.api.provider.default_rates, *self.api.provider.budgets):
            if rate.name == budget:
                return rate
        raise LookupError(f"{self.api.provider.name} has no budget {budget!r}")

    def heed(self, budget: str, response: Response, now: float) -> None:
        """Pauses the lane for as long as an answer asks for. `now` is epoch seconds."""
        if response.status not in (429, 503):
            return
        asked = pause_asked(response.headers, now) or 0.0
        seconds = max(asked, self.api.provider.pause(response) or 0.0)
        if seconds > 0:
            self.limiter.pause(self.lane(budget), seconds)

    def give_back(self) -> None:
        """The sync is gone or changed: its rates no longer count."""
        for key in (self._lanes or {}).values():
            self.limiter.forget(key, self.owner)
        self._lanes = None


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

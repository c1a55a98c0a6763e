"""How often housekeeping may run: rediscovery after an unknown field, lookups of unknown ids.

Nothing here is seen by an API as a limit of its own, so no strict window is needed
and nothing waits: what comes too often is left out and comes again. aiolimiter's
leaky bucket is the right tool for that: a burst, then a steady trickle. (For calls to
an API it is the wrong one: it lets a burst and its refill through in one window, and
serves in order of arrival. See `httpproxy.upstream.lane`.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from aiolimiter import AsyncLimiter

MAX_KEYS: Final = 10_000


class Pace:
    """At most `burst` runs per key at once, and `burst` per `seconds` in the long run.

    Remembers `max_keys` keys, the least recently used ones going first: made-up keys
    (ids that nobody has) cannot fill the memory.
    """

    def __init__(self, burst: int, seconds: float, max_keys: int = MAX_KEYS) -> None:
        self._burst, self._seconds, self._max_keys = burst, seconds, max_keys
        self._buckets: OrderedDict[Hashable, AsyncLimiter] = OrderedDict()

    async def allows(self, key: Hashable) -> bool:
        """True, and counted, if one more run of `key` is in order now. Never waits."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = AsyncLimiter(self._burst, self._seconds)
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        if not bucket.has_capacity():
            return False
        await bucket.acquire()  # does not suspend: nothing ran since it had capacity
        return True

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._buckets)

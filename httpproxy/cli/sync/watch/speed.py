"""How fast listings advance: rows per second over the last seconds. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW: Final = 10.0  # seconds; pages come in lumps, and a mean over less would jump


class Speeds:
    """Watches counts that grow, each by its name."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], deque[tuple[float, int]]] = {}

    def note(self, place: tuple[str, str], count: int, now: float) -> float | None:
        """Takes in a count of `place` (sync, collection) at `now`, seconds of any clock.

        Returns its growth per second, None as long as it was seen once. A count that
        falls begins anew: it is another run's.
        """
        seen = self._seen.setdefault(place, deque())
        if seen and seen[-1][1] > count:
            seen.clear()
        seen.append((now, count))
        while len(seen) > 2 and now - seen[1][0] >= WINDOW:
            seen.popleft()
        (began, first), elapsed = seen[0], now - seen[0][0]
        return (count - first) / elapsed if elapsed > 0 and began < now else None

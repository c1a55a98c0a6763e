"""How many requests the sync has used, by collection and class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from httpproxy.upstream.lane import Priority

Counts = dict[tuple[int, str], int]  # (a collection's number, a class's name) -> requests


class Usage:
    """Counts attempts that were sent; `drain` hands them on, to be added up elsewhere."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()

    def tally(self, number: int, priority: Priority) -> Callable[[], None]:
        """What to call once for each attempt of a conversation about this collection."""
        place = (number, priority.name.lower())

        def count() -> None:
            self._counts[place] += 1

        return count

    def drain(self) -> Counts:
        """What was counted since the last time."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def put_back(self, counts: Counts) -> None:
        """Counts that could not be handed on."""
        self._counts.update(counts)

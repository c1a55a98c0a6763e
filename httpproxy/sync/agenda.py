"""What is to be done when: a heap of jobs and their due times. Pure.

    put ──> waiting ──take──> running ──done(due)──> waiting
              ^ wake brings it forward; while it runs, it goes again at once

Ten thousand idle syncs are some ten thousand entries here and nothing else: no task,
no timer of their own. Times are seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple


class Key(NamedTuple):
    """A job: whose, what, and on which feed or collection ("" where there is one)."""

    sync_id: str
    job: str
    subject: str = ""


@dataclass(slots=True)
class _Entry:
    due: float | None  # None: until it is woken
    running: bool = False
    again: bool = False


class Agenda:
    """The jobs of a process."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._of_sync: dict[str, set[Key]] = {}
        self._heap: list[tuple[float, Key]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def keys(self, sync_id: str) -> list[Key]:
        """The jobs of a sync."""
        return list(self._of_sync.get(sync_id, ()))

    def put(self, key: Key, due: float | None) -> None:
        """A new job; one that is known keeps its time."""
        if key not in self._entries:
            self._entries[key] = _Entry(None)
            self._of_sync.setdefault(key.sync_id, set()).add(key)
            self._schedule(key, due)

    def wake(self, key: Key, now: float) -> None:
        """Due now; if it is running, once more when it has ended."""
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.running:
            entry.again = True
        elif entry.due is None or entry.due > now:
            self._schedule(key, now)

    def take(self, now: float, most: int) -> list[Key]:
        """Up to `most` jobs that are due; they are running until `done`."""
        found: list[Key] = []
        while self._heap and self._heap[0][0] <= now and len(found) < most:
            due, key = heappop(self._heap)
            entry = self._entries.get(key)
            if entry is None or entry.running or entry.due != due:
                continue  # dropped, or scheduled anew since
            entry.running, entry.due = True, None
            found.append(key)
        return found

    def done(self, key: Key, now: float, after: float | None) -> None:
        """A job has ended; it is due again in `after` seconds, None: when it is woken."""
        entry = self._entries.get(key)
        if entry is None or not entry.running:
            return
        again, entry.running, entry.again = entry.again, False, False
        if again:
            after = 0.0
        if after is not None:
            self._schedule(key, now + after)

    def drop(self, keys: Iterable[Key]) -> None:
        """Jobs that are not to be done any more; one that runs is not scheduled again."""
        for key in list(keys):
            if self._entries.pop(key, None) is None:
                continue
            left = self._of_sync[key.sync_id]
            left.discard(key)
            if not left:
                del self._of_sync[key.sync_id]

    def next_due(self) -> float | None:
        """When the next job is due, None if none is."""
        while self._heap:
            due, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and not entry.running and entry.due == due:
                return due
            heappop(self._heap)
        return None

    def _schedule(self, key: Key, due: float | None) -> None:
        self._entries[key].due = due
        if due is not None:
            heappush(self._heap, (due, key))

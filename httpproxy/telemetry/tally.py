"""What happened so far, as plain numbers. Pure.

Counting is part of every call, so it costs next to nothing: a dictionary's entry or a
list's is raised by one. What reads it (`api.metrics`) gives the numbers their names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

PHASES: Final = ("admit", "permit", "intent", "send", "commit", "settle")
BOUNDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)


class Histogram:
    """How many durations lay under each of BOUNDS (seconds), and their sum.

    `counts` has one number for each bound and a last one for what lay above them all.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def __repr__(self) -> str:
        return f"Histogram({sum(self.counts)} in {self.total:.3f} s)"

    def note(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """(bound, how many lay at or under it), the last with an infinite bound."""
        so_far = 0
        for bound, count in zip((*BOUNDS, float("inf")), self.counts, strict=True):
            so_far += count
            yield bound, so_far


class Calls:
    """What became of the calls of one kind.

    phases    a histogram for each phase, that of the whole call last
    receipts  the receipt's outcome -> how often
    statuses  the API's status -> how often
    """

    __slots__ = ("phases", "receipts", "statuses")

    def __init__(self) -> None:
        self.phases = [Histogram() for _ in range(len(PHASES) + 1)]
        self.receipts: dict[str, int] = {}
        self.statuses: dict[int, int] = {}


class Tally:
    """Counts since the start of the process.

    calls     (provider, action) -> the application's calls
    problems  (code, sent): those that we answered ourselves
    answers   (provider, class of the status): what APIs said to calls of our own
    jobs      (kind, outcome): jobs of the sync that ended
    spans     what became of spans: sent, lost
    """

    __slots__ = ("answers", "calls", "job_seconds", "jobs", "problems", "spans")

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], Calls] = {}
        self.problems: Counter[tuple[str, str]] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.jobs: Counter[tuple[str, str]] = Counter()
        self.job_seconds: dict[str, Histogram] = {}
        # All keys from the start: another thread counts here.
        self.spans = {"sent": 0, "lost": 0}

    def of(self, provider: str, action: str) -> Calls:
        """The calls of this kind."""
        key = (provider, action)
        known = self.calls.get(key)
        if known is None:
            known = self.calls[key] = Calls()
        return known

    def heard(self, provider: str, status: int) -> None:
        """An API has answered a call of our own."""
        self.answers[provider, status_class(status)] += 1

    def job(self, kind: str, outcome: str, seconds: float) -> None:
        """A job of the sync has ended."""
        self.jobs[kind, outcome] += 1
        known = self.job_seconds.get(kind)
        if known is None:
            known = self.job_seconds[kind] = Histogram()
        known.note(seconds)


def status_class(status: int) -> str:
    """The class of a status, such as 2xx."""
    return f"{status // 100}xx" if 100 <= status < 600 else "other"

"""Reads the values of a process's metrics from the parts that hold them. No I/O.

Each function takes one part and yields samples: a family's short name, the values of its
labels in their order, and a number or a histogram.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from typing import Final, NamedTuple, Protocol

from httpproxy.api.readiness import Verdict
from httpproxy.telemetry.tally import PHASES, Calls, Histogram, Tally, status_class
from httpproxy.upstream.counts import Counts
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import LaneState, Limiter

BUSIEST: Final = 5


class Sample(NamedTuple):
    """One series now."""

    family: str
    labels: tuple[str, ...]
    value: float | Histogram


Part = Callable[[], Iterable[Sample]]


def of_process(version: str, verdict: Verdict, loop_lag: float) -> Iterator[Sample]:
    """What the process says of itself."""
    yield Sample("build_info", (version,), 1)
    yield Sample("ready", (), verdict.ready)
    for finding in verdict.findings:
        yield Sample("check_failing", (finding.name,), finding.failing)
    yield Sample("loop_lag_seconds", (), loop_lag)


def of_tally(tally: Tally) -> Iterator[Sample]:
    """Calls and jobs."""
    for key, calls in tally.calls.items():
        yield from _of_calls(key, calls)
    for (provider, status), count in tally.answers.items():
        yield Sample("upstream_answers", (provider, "own", status), count)
    for problem, count in tally.problems.items():
        yield Sample("problems", problem, count)
    for job, count in tally.jobs.items():
        yield Sample("sync_jobs", job, count)
    for kind, histogram in tally.job_seconds.items():
        yield Sample("sync_job_seconds", (kind,), histogram)
    for outcome, count in tally.spans.items():
        yield Sample("spans", (outcome,), count)
    for labels, count in _statuses(tally).items():
        yield Sample("upstream_answers", labels, count)


def _of_calls(key: tuple[str, str], calls: Calls) -> Iterator[Sample]:
    """Phases that no call of a kind has are left out."""
    *phases, whole = calls.phases
    yield Sample("call_seconds", key, whole)
    for phase, histogram in zip(PHASES, phases, strict=True):
        if any(histogram.counts):
            yield Sample("call_phase_seconds", (*key, phase), histogram)
    for outcome, count in calls.receipts.items():
        yield Sample("receipts", (*key, outcome), count)


def _statuses(tally: Tally) -> Counter[tuple[str, str, str]]:
    answers: Counter[tuple[str, str, str]] = Counter()
    for (provider, _), calls in tally.calls.items():
        for status, count in calls.statuses.items():
            answers[provider, "gateway", status_class(status)] += count
    return answers


def of_limiter(limiter: Limiter) -> Iterator[Sample]:
    """Permits, by provider, budget and class; lanes of single accounts only if they are
    the fullest."""
    for lane, counts in limiter.counts.items():
        yield from _of_counts(lane, counts)
    waiting: Counter[tuple[str, str, str]] = Counter()
    running: Counter[tuple[str, str]] = Counter()
    slots: Counter[tuple[str, str]] = Counter()
    paused: Counter[str] = Counter()
    busiest: list[tuple[int, LaneState]] = []
    for state in limiter.states():
        provider, budget = state.key[0], state.key[-1]
        running[provider, budget] += state.running
        slots[provider, budget] += state.slots
        paused[provider] += state.paused > 0
        for priority, number in state.waiting.items():
            waiting[provider, budget, _class(priority)] += number
        if any(state.waiting.values()):
            busiest.append((sum(state.waiting.values()), state))
    for labels, number in waiting.items():
        yield Sample("permits_waiting", labels, number)
    for pair, number in running.items():
        yield Sample("permits_running", pair, number)
    for pair, number in slots.items():
        yield Sample("permit_slots", pair, number)
    for provider, number in paused.items():
        yield Sample("lanes_paused", (provider,), number)
    for number, state in nlargest(BUSIEST, busiest, key=lambda pair: pair[0]):
        yield Sample("busiest_lane_waiting", state.key, number)


def _of_counts(lane: tuple[str, str], counts: Counts) -> Iterator[Sample]:
    for priority in Priority:
        labels = (*lane, _class(priority))
        yield Sample("permits_granted", labels, counts.grants[priority])
        yield Sample("permits_waited", labels, counts.waits[priority])
        yield Sample("permits_expired", labels, counts.expired[priority])
        yield Sample("permit_wait_seconds", labels, counts.waited[priority])


def _class(priority: Priority) -> str:
    return priority.name.lower()


class Commits(Protocol):
    """`store.commits.commit.Committer`, as far as it is counted."""

    @property
    def available(self) -> bool: ...
    @property
    def waiting(self) -> int: ...
    @property
    def lag(self) -> float: ...
    @property
    def made(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def misfits(self) -> int: ...
    @property
    def quarantined(self) -> int: ...


def of_commits(committer: Commits) -> Iterator[Sample]:
    """The way of answers into the database."""
    yield Sample("database_available", (), committer.available)
    yield Sample("commit_queue", (), committer.waiting)
    yield Sample("commit_lag_seconds", (), committer.lag)
    yield Sample("commits", (), committer.made)
    yield Sample("commit_batches", (), committer.batches)
    yield Sample("misfits", (), committer.misfits)
    yield Sample("quarantined", (), committer.quarantined)

"""Begins and ends the watching of calls and jobs: counts, spans, access lines.

A call is begun once and ended once, by `answered` or by `refused`. All numbers are noted
at the end, from the times that its course holds; while it runs only those are taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple, Protocol

from httpproxy.telemetry.course import ADMIT, Course, follow
from httpproxy.telemetry.tally import Histogram, Tally

access = logging.getLogger("httpproxy.access")


class End(NamedTuple):
    """How a call ended: the status that goes out, and the receipt's outcome or, if `ours`,
    the code of our own problem."""

    method: str
    status: int
    result: str
    ours: bool


class Tracer(Protocol):
    """Takes what has ended, as spans. Never fails and never waits."""

    def call(self, course: Course, ended: float, end: End) -> None: ...

    def job(self, course: Course, ended: float, outcome: str) -> None: ...


class Watch:
    """What this process sees of its calls. `tally` has the numbers; `tracer`, if there is
    one, is told of every call and job.

    With `access_log` every call leaves a line of the logger `httpproxy.access`: without
    path values, query, token or unique id.
    """

    def __init__(self, *, access_log: bool = False) -> None:
        self.tally = Tally()
        self.tracer: Tracer | None = None
        self._access_log = access_log

    def begin(self, request_id: str, headers: Mapping[str, str] | None = None) -> Course:
        """A call has come in; from here on, its log lines are known by its request id."""
        course = Course(request_id, headers)
        follow(course)
        return course

    def answered(self, course: Course, method: str, status: int, outcome: str) -> None:
        """The API's answer is about to go out; `outcome` is the receipt's."""
        ended = monotonic()
        calls = self.tally.of(course.provider, _action(course))
        receipts, statuses = calls.receipts, calls.statuses
        receipts[outcome] = receipts.get(outcome, 0) + 1
        statuses[status] = statuses.get(status, 0) + 1
        _note_phases(calls.phases, course, ended)
        if self.tracer is not None:
            self.tracer.call(course, ended, End(method, status, outcome, ours=False))
        if self._access_log:
            _say(course, ended, method, {"status": status, "receipt": outcome, "sent": "yes"})

    def refused(self, course: Course, method: str, status: int, code: str, sent: str) -> None:
        """An answer of our own is about to go out: its status, the problem's code, and
        whether the call was sent."""
        ended = monotonic()
        self.tally.problems[code, sent] += 1
        if course.route is not None:
            calls = self.tally.of(course.provider, course.route.action)
            _note_phases(calls.phases, course, ended)
        if self.tracer is not None:
            self.tracer.call(course, ended, End(method, status, code, ours=True))
        if self._access_log:
            _say(course, ended, method, {"status": status, "problem": code, "sent": sent})

    @contextmanager
    def job(self, kind: str, sync_id: str, provider: str) -> Iterator[Course]:
        """Watches a job of the sync: log lines in the block say whose it is."""
        course = Course("")
        course.job = kind
        course.belongs(sync_id, provider)
        follow(course)
        outcome = "failed"
        try:
            yield course
            outcome = "done"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            ended = monotonic()
            follow(None)
            self.tally.job(kind, outcome, ended - course.began)
            if self.tracer is not None:
                self.tracer.job(course, ended, outcome)


def _action(course: Course) -> str:
    return "" if course.route is None else course.route.action


def _note_phases(histograms: Sequence[Histogram], course: Course, ended: float) -> None:
    phase, at = ADMIT, course.began
    for following, since in course.steps:
        histograms[phase].note(since - at)
        phase, at = following, since
    histograms[phase].note(ended - at)
    histograms[-1].note(ended - course.began)


def _say(course: Course, ended: float, method: str, said: dict[str, object]) -> None:
    """The access line: what is a member in JSON stands in the text, too."""
    milliseconds = round((ended - course.began) * 1000, 1)
    members = {
        "method": method,
        "route": course.route.name if course.route else "none",
        **said,
        "ms": milliseconds,
    }
    text = " ".join(f"{name}={value}" for name, value in members.items() if name != "method")
    access.info("%s %s", method, text, extra=members)

"""A call as it is watched: its phases, whose it is, and what its log lines say."""

from __future__ import annotations

import asyncio
import json
import logging
from time import thread_time

import pytest

from httpproxy.cli.logs import JsonFormatter
from httpproxy.telemetry.course import COMMIT, PERMIT, SEND, Course, Parent, follow
from httpproxy.telemetry.tally import BOUNDS, PHASES, Histogram, status_class
from httpproxy.telemetry.watch import Watch
from providers.spec import Action, Route

ROUTE = Route("update record", "PATCH", "/v0/{base}/{table}/{record}", Action.WRITE)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(autouse=True)
def _outside_of_any_call():
    yield
    follow(None)


def _line(message: str, **extra: object) -> dict:
    record = logging.LogRecord("httpproxy.x", logging.INFO, "x.py", 1, message, (), None)
    vars(record).update(extra)
    return json.loads(JsonFormatter().format(record))


def _call(watch: Watch, request_id: str = "abc-1", **headers: str) -> Course:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    course = watch.begin(request_id, named)
    course.belongs("sync-1", "airtable")
    course.routed(ROUTE)
    return course


def test_each_phase_ends_where_the_next_begins_and_the_last_with_the_call():
    watch = Watch()
    course = _call(watch)
    course.began = 0.0
    course.steps = [(PERMIT, 0.5), (SEND, 2.5), (COMMIT, 2.9)]
    assert course.phase == "commit"
    watch.answered(course, "PATCH", 200, "applied")
    calls = watch.tally.calls["airtable", "write"]
    seconds = dict(zip(PHASES, (h.total for h in calls.phases), strict=False))
    assert (seconds["admit"], seconds["permit"]) == (0.5, 2.0)
    assert round(seconds["send"], 6) == 0.4
    assert seconds["intent"] == seconds["settle"] == 0
    assert round(sum(h.total for h in calls.phases[:-1]) - calls.phases[-1].total, 6) == 0
    assert (calls.receipts, calls.statuses) == ({"applied": 1}, {200: 1})


def test_a_call_that_fails_counts_in_the_phase_where_it_failed():
    watch = Watch()
    course = _call(watch)
    course.enter(PERMIT)
    watch.refused(course, "PATCH", 504, "permit_timeout", "no")
    phases = watch.tally.calls["airtable", "write"].phases
    assert sum(phases[PERMIT].counts) == 1
    assert sum(phases[SEND].counts) == 0
    assert watch.tally.problems == {("permit_timeout", "no"): 1}


def test_a_refusal_before_the_route_is_known_counts_as_a_problem_alone():
    watch = Watch()
    watch.refused(watch.begin("abc-1"), "GET", 404, "unknown_address", "no")
    assert watch.tally.problems == {("unknown_address", "no"): 1}
    assert watch.tally.calls == {}


def test_a_histogram_counts_each_duration_once_and_tells_how_many_lay_below():
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], 0.0011, 99.0):
        histogram.note(seconds)
    cumulative = list(histogram.cumulative())
    assert cumulative[0] == (BOUNDS[0], 2)
    assert cumulative[1] == (BOUNDS[1], 3)
    assert cumulative[-1] == (float("inf"), 4)
    assert "4 in 99.002 s" in repr(histogram)


@pytest.mark.parametrize(
    ("status", "class_"), [(204, "2xx"), (599, "5xx"), (999, "other"), (42, "other")]
)
def test_statuses_are_counted_by_class(status: int, class_: str):
    assert status_class(status) == class_


def test_watching_a_write_costs_microseconds():
    watch, times = Watch(), []
    for _ in range(5):
        began = thread_time()
        for _ in range(1000):
            course = _call(watch)
            for phase in range(1, len(PHASES)):
                course.enter(phase)
            watch.answered(course, "PATCH", 200, "applied")
        times.append((thread_time() - began) / 1000)
    assert min(times) < 150e-6  # 3 by measure; the rest is for a busy machine and coverage


@pytest.mark.parametrize(
    ("said", "parent"),
    [
        (f"00-{TRACE}-{SPAN}-01", Parent(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-00", Parent(TRACE, SPAN, sampled=False)),
        (f"cc-{TRACE}-{SPAN}-03-what-comes-later", Parent(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_a_traceparent_counts_if_it_is_one(said: str, parent: Parent | None):
    assert Course("abc-1", {"traceparent": said}).parent() == parent


def test_every_log_line_of_a_call_is_known_by_its_request_id():
    async def other_call() -> dict:
        _call(Watch(), "abc-2")
        await asyncio.sleep(0)
        return _line("another")

    async def calls() -> tuple[dict, dict, dict]:
        _call(Watch(), "abc-1", X_Request_Id="mine-7", traceparent=f"00-{TRACE}-{SPAN}-01")
        later = asyncio.ensure_future(asyncio.sleep(0, lambda: _line("settled later")))
        other = asyncio.ensure_future(other_call())
        said = (await later)()
        return _line("here"), said, await other

    here, later, other = asyncio.run(calls())
    assert (here["request_id"], here["sync_id"], here["provider"]) == (
        "abc-1", "sync-1", "airtable",
    )  # fmt: skip
    assert (here["client_request_id"], here["trace_id"]) == ("mine-7", TRACE)
    assert later["request_id"] == "abc-1"
    assert other["request_id"] == "abc-2"
    assert "request_id" not in _line("outside of any call")


@pytest.mark.parametrize("said", ["", "two words", "x" * 65, "-a", "a\u00e9", "<b>"])
def test_what_a_client_calls_its_request_is_noted_only_if_it_is_an_id(said: str):
    assert Course("abc-1", {"X-Request-Id": said}).client_id() is None
    assert "client_request_id" not in Course("abc-1", {"X-Request-Id": said}).members()


def test_what_a_line_says_itself_counts_more_than_the_call_it_is_in():
    _call(Watch(), "abc-1")
    assert _line("quarantined", request_id="abc-0")["request_id"] == "abc-0"


def test_access_lines_say_how_a_call_went_and_nothing_of_its_path(caplog):
    with caplog.at_level(logging.INFO, logger="httpproxy.access"):
        watch = Watch(access_log=True)
        watch.answered(_call(watch), "PATCH", 200, "applied")
        watch.refused(watch.begin("abc-2"), "GET", 404, "unknown_address", "no")
        Watch().answered(_call(Watch()), "PATCH", 200, "applied")  # not asked for
    first, second = (vars(record) for record in caplog.records)
    told = ("method", "route", "status", "receipt", "sent")
    assert [first[name] for name in told] == ["PATCH", "update record", 200, "applied", "yes"]
    assert isinstance(first["ms"], float)
    assert (second["route"], second["problem"], second["sent"]) == (
        "none", "unknown_address", "no",
    )  # fmt: skip
    assert caplog.records[0].getMessage().startswith("PATCH route=update record status=200")


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [(None, "done"), (OSError, "failed"), (asyncio.CancelledError, "cancelled")],
)
def test_a_job_is_counted_with_its_end_and_named_in_its_lines(raised, outcome):
    watch, lines = Watch(), []

    def work() -> None:
        with watch.job("listing", "sync-1", "hubspot") as course:
            lines.append(_line("turned a page"))
            assert "listing" in repr(course)
            if raised:
                raise raised

    if raised:
        with pytest.raises(raised):
            work()
    else:
        work()
    assert (lines[0]["job"], lines[0]["sync_id"]) == ("listing", "sync-1")
    assert watch.tally.jobs == {("listing", outcome): 1}
    assert sum(watch.tally.job_seconds["listing"].counts) == 1
    assert "job" not in _line("afterwards")

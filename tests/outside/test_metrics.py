"""What `/metrics` serves: every family of the table, in both formats, for all workers."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from neighbours.house import BASE
from neighbours.syncs import new_sync
from outside.opened import Opened, open_door
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_families,
)
from prometheus_client.parser import text_string_to_metric_families

from httpproxy.api.metrics import page
from httpproxy.api.metrics.names import FAMILIES
from httpproxy.api.metrics.samples import Sample, of_commits, of_limiter, of_tally
from httpproxy.api.metrics.standing import StandingReader
from httpproxy.api.served import Served
from httpproxy.api.siblings import Siblings
from httpproxy.store.errors import Unavailable
from httpproxy.store.sync.lags import Lag, Overview
from httpproxy.telemetry.course import PERMIT, SEND
from httpproxy.telemetry.watch import Watch
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter
from providers.record import Collection, ColumnType, Field
from providers.spec import Action, Budget, Route

ROUTE = Route("update record", "PATCH", "/v0/{base}/{table}/{record}", Action.WRITE)
LANE = ("airtable", "appOne", "standard")


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series of a page, and its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    """The one series of this name that has these labels."""
    found = [
        number
        for (sample, said), number in values(text).items()
        if sample == name and labels.items() <= dict(said).items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def a_call(watch: Watch, status: int = 200, outcome: str = "applied") -> None:
    course = watch.begin("abc-1")
    course.belongs("sync-1", "airtable")
    course.routed(ROUTE)
    course.enter(PERMIT)
    course.enter(SEND)
    watch.answered(course, "PATCH", status, outcome)


async def make_sync(opened: Opened) -> None:
    fields = (
        Field("$id", "id", "system", ColumnType.TEXT, writable=False, column_name="id"),
        Field("fldName0000000001", "Name", "singleLineText", ColumnType.TEXT),
    )
    await new_sync(
        opened.inside.office.registry,
        "airtable",
        "tasks of us",
        BASE,
        schema_name="house",
        collections=(Collection("tblTasks000000001", "Tasks", fields, table_name="tasks"),),
    )


async def test_a_scrape_tells_of_calls_permits_commits_and_syncs(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path) as opened:
        await make_sync(opened)
        opened.readiness.serve()
        for _ in range(3):
            a_call(opened.inside.watch)
        watch = opened.inside.watch
        watch.refused(watch.begin("abc-2"), "GET", 404, "unknown_address", "no")
        limiter = opened.inside.office.limiter
        limiter.lane(LANE, Budget("standard", 5, 1.0))
        permit = await limiter.acquire(LANE, Priority.WRITE, 1.0)
        text = (await opened.ask("/metrics")).text
        permit.release()
    kind = {"provider": "airtable", "action": "write"}
    assert value(text, "httpproxy_receipts_total", outcome="applied", **kind) == 3
    assert value(text, "httpproxy_call_seconds_count", **kind) == 3
    assert value(text, "httpproxy_call_phase_seconds_count", phase="send", **kind) == 3
    assert (
        value(text, "httpproxy_call_phase_seconds_bucket", phase="send", le="+Inf", **kind) == 3
    )
    assert value(text, "httpproxy_problems_total", code="unknown_address", sent="no") == 1
    answers = {"provider": "airtable", "caller": "gateway", "status": "2xx"}
    assert value(text, "httpproxy_upstream_answers_total", **answers) == 3
    lane = {"provider": "airtable", "budget": "standard"}
    assert value(text, "httpproxy_permits_granted_total", **lane, **{"class": "write"}) == 1
    assert value(text, "httpproxy_permits_running", **lane) == 1
    assert value(text, "httpproxy_ready", worker="0") == 1
    assert value(text, "httpproxy_check_failing", check="database") == 0
    assert value(text, "httpproxy_database_available") == 1
    assert value(text, "httpproxy_processes") == 1
    assert value(text, "httpproxy_syncs", status="active") == 1
    assert value(text, "httpproxy_intents", state="uncertain") == 0
    table = {"sync": "tasks of us", "table": "tasks"}
    assert 0 <= value(text, "httpproxy_collection_lag_seconds", **table) < 60
    assert value(text, "process_resident_memory_bytes", worker="0") > 1e6
    assert "appOne" not in text  # nobody waits there


async def test_prometheus_text_and_openmetrics_by_what_is_accepted(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path) as opened:
        a_call(opened.inside.watch)
        plain = await opened.ask("/metrics")
        modern = await opened.ask(
            "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        )
        head = await opened.ask("/metrics", "HEAD")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert modern.headers["Content-Type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")
    assert {f.name for f in open_families(modern.text)} >= {"httpproxy_call_seconds"}
    assert (head.status_code, head.content) == (200, b"")


async def test_accounts_are_named_only_where_calls_wait_and_only_the_fullest():
    limiter, waiting = Limiter(), []
    for number in range(7):
        key = ("airtable", f"app{number}", "standard")
        limiter.lane(key, Budget("standard", 1, 60.0))
        assert limiter.take(key, Priority.WRITE) is not None
        waiting += [
            asyncio.ensure_future(limiter.acquire(key, Priority.BACKFILL, 300.0))
            for _ in range(number)
        ]
    limiter.pause(("airtable", "app3", "standard"), 30.0)
    await asyncio.sleep(0)
    samples = list(of_limiter(limiter))
    for future in waiting:
        future.cancel()
    limiter.close()
    busiest = [s for s in samples if s.family == "busiest_lane_waiting"]
    assert [(s.labels[1], s.value) for s in busiest] == [
        ("app6", 6), ("app5", 5), ("app4", 4), ("app3", 3), ("app2", 2),
    ]  # fmt: skip
    lane = ("airtable", "standard")
    assert Sample("permits_waiting", (*lane, "backfill"), 21) in samples
    assert Sample("permits_waited", (*lane, "backfill"), 21) in samples
    assert Sample("permits_granted", (*lane, "write"), 7) in samples
    assert Sample("lanes_paused", ("airtable",), 1) in samples


async def test_every_family_is_served_by_somebody(database_dsn):
    """Names that nothing yields would stand in the table for ever."""

    class Committing:
        available, waiting, lag, made, batches, misfits, quarantined = True, 0, 0.0, 0, 0, 0, 0

    watch, limiter = Watch(), Limiter()
    a_call(watch)
    watch.refused(watch.begin("a"), "GET", 404, "unknown_address", "no")
    watch.tally.heard("airtable", 429)
    with watch.job("listing", "sync-1", "airtable"):
        limiter.lane(LANE, Budget("standard", 1, 60.0))
        assert limiter.take(LANE, Priority.WRITE)
    waiter = asyncio.ensure_future(limiter.acquire(LANE, Priority.WRITE, 300.0))
    await asyncio.sleep(0)
    samples = [*of_tally(watch.tally), *of_limiter(limiter), *of_commits(Committing())]
    waiter.cancel()
    limiter.close()
    lag = Lag("s", "t", 1.0, 2.0, 0, 5, 1, held=True)
    known = StandingReader(_Lags([Overview((lag,), 0, {"active": 1}, 1)]), _count, lambda: 9.0)
    samples += await known.samples()
    answered = Served()
    answered.note("get_syncs", 200, 0.01)
    samples += answered.samples()
    served = {f"httpproxy_{sample.family}" for sample in samples}
    of_the_process = {"build_info", "ready", "check_failing", "loop_lag_seconds"}
    of_parts = {"replica_waiters", "leasing_calls", "stream_readers", "token_refreshes"}
    elsewhere = of_parts | of_the_process
    assert {f.name for f in FAMILIES} - served == {f"httpproxy_{name}" for name in elsewhere}


async def _count() -> dict[str, float]:
    return {"open": 3, "uncertain": 1, "oldest_seconds": 4.0}


class _Lags:
    """Answers in turn; an exception is raised, None never comes."""

    def __init__(self, answers: list) -> None:
        self.answers = answers

    async def read(self, limit: int) -> Overview:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_database_is_asked_at_most_every_five_seconds_and_old_answers_are_forgotten():
    now = [100.0]
    lags = _Lags([Overview((), 0, {}, 1), Unavailable("away"), LookupError("odd")])
    reader = StandingReader(lags, None, lambda: now[0])

    async def processes() -> list[float]:
        return [s.value for s in await reader.samples() if s.family == "processes"]

    assert await processes() == [1]
    now[0] += 4.9
    assert await processes() == [1]
    assert len(lags.answers) == 2
    now[0] += 0.2
    assert await processes() == [1]  # away: what is known is shown, and how old it is
    ages = [s.value for s in await reader.samples() if s.family == "standing_age_seconds"]
    assert len(lags.answers) == 0
    assert 5 < ages[0] < 6
    lags.answers.append(Unavailable("away"))
    now[0] += 60.0
    assert await processes() == []


@pytest.mark.parametrize("frozen", [False, True], ids=["all well", "one does not answer"])
async def test_one_scrape_shows_all_workers(
    database_dsn: str, tmp_path: Path, frozen: bool, monkeypatch
):
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            one, two = [
                await stack.enter_async_context(
                    open_door(database_dsn, tmp_path, Siblings(Path(folder), name))
                )
                for name in ("1", "2")
            ]
            assert (await one.ask("/readyz")).status_code == 503
            two.readiness.serve()
            for _ in range(2):
                a_call(two.inside.watch)
            # Long enough for a sibling that is there, and no longer than needed.
            patience = 3.0 if frozen else 60.0
            monkeypatch.setattr("httpproxy.api.siblings.PATIENCE", patience)
            if frozen:
                await stack.enter_async_context(_silent(Path(folder) / "3.sock"))
            ready = await one.ask("/readyz")
            text = (await one.ask("/metrics")).text
        assert _names(folder) == (["3.sock"] if frozen else [])
    assert ready.status_code == 200  # calls can go to the second
    told = ready.json()
    assert "worker 1: the process is starting" in told["reasons"]
    assert ("worker 3: it does not answer" in told["reasons"]) == frozen
    assert value(text, "httpproxy_ready", worker="1") == 0
    assert value(text, "httpproxy_ready", worker="2") == 1
    assert value(text, "httpproxy_call_seconds_count", worker="2") == 2
    assert value(text, "httpproxy_processes") == 2  # what the database knows, once
    assert text.count("# TYPE httpproxy_ready gauge") == 1


def _names(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def _silent(path: Path):
    """A worker that takes questions and answers none."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(-1)
        finally:
            writer.close()

    class Server:
        async def __aenter__(self):
            self.server = await asyncio.start_unix_server(hear, path)

        async def __aexit__(self, *_):
            self.server.close()

    return Server()


async def test_a_worker_asks_only_what_is_known_and_leaves_its_successors_socket():
    with tempfile.TemporaryDirectory() as folder:
        old, new, other = (Siblings(Path(folder), name) for name in ("1", "1", "2"))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(old.answering({"ready": lambda: b"old"}))
            assert await other.ask("ready") == {"1": b"old"}
            assert await other.ask("unheard of") == {"1": None}
            assert await old.ask("ready") == {}
            async with new.answering({"ready": lambda: b"new"}):
                await stack.aclose()
                assert await other.ask("ready") == {"1": b"new"}
        assert await other.ask("ready") == {}


async def test_collections_beyond_the_bound_are_counted(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path) as opened:
        await make_sync(opened)
        with psycopg.connect(database_dsn) as connection:
            connection.execute(
                "INSERT INTO httpproxy.collection (sync_id, upstream_id, name, table_name,"
                " aliases, key, position) SELECT id, 't' || n, 'T', 't' || n, '{}', '{}', n"
                " FROM httpproxy.sync, generate_series(1, 505) n"
            )
        text = (await opened.ask("/metrics")).text
    lags = [s for s in values(text) if s[0] == "httpproxy_collection_lag_seconds"]
    assert len(lags) == 500
    assert value(text, "httpproxy_collections_left_out") == 6


def test_a_label_with_signs_of_the_format_comes_through_both_ways():
    odd = 'a "table"\n\\ of us'
    made = page.families([Sample("collection_held", ("s", odd), 1)], "0")
    text = page.written(made, "")[0].decode()
    assert [s.labels["table"] for f in page.parsed(text) for s in f.samples] == [odd]

"""The streams: how soon readers hear of a commit, what their waiting costs, and pages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import pairwise
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from httpproxy.store.database import Database
from httpproxy.store.registry import Sync
from httpproxy.store.secrets.keys import Keys
from httpproxy.streams.tail import REST_SECONDS
from tests.benchmarks import gateway, record
from tests.benchmarks.processes import Failed, Process, Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Load

RATE: Final = 20  # events per second
READERS: Final = (1, 50, 200)
MEDIAN_MS: Final = ("at most", 60.0)  # of the most readers
NEARLY_ALL_MS: Final = ("at most", 250.0)
KEPT: Final = 20_000  # events that are read in pages
_INSERT: Final[LiteralString] = """
    INSERT INTO httpproxy.event
        (sync_id, collection_id, upstream_id, event, data, origin, request_id)
    SELECT %(sync)s, %(collection)s, 'rec' || n, 'created', %(data)s, 'sql', 'bench'
    FROM generate_series(1, %(number)s) n"""


async def _prepared(dsn: str) -> tuple[Sync, str]:
    async with gateway.registry(dsn) as registry:
        sync = await gateway.make_sync(registry, "told", record.BASE, gateway.discovered())
    async with Database(dsn) as database:
        _, key = await Keys(database, time.monotonic).create("bench", ["read"])
    return sync, key.reveal()


def told(run: Run, dsn: str, seconds: float) -> Iterator[Result]:
    """Milliseconds from the beginning of a commit to its event at a reader."""
    stub = run.child("tests.benchmarks.stub")
    load = Load(run.child("tests.benchmarks.load"))
    listeners = run.child("tests.benchmarks.listeners")
    sync, key = asyncio.run(_prepared(dsn))
    both, api_port = gateway.serve_both(run, dsn, stub.port, max_streams=sum(READERS))
    own = Contestant("own", both, (record.create_call(gateway.prefix(sync)),))
    with ThreadPoolExecutor(1) as beside:
        yield _idle(both, seconds, "no reader")
        for readers in READERS:
            order = {"port": api_port, "key": key, "readers": readers}
            listeners.ask(order, 60)
            if readers == 1:
                yield _idle(both, seconds, "one reader at rest")
            for name in ("of its own", "of another process"):
                heard = beside.submit(listeners.ask, {"seconds": seconds + 1}, seconds + 60)
                if name == "of its own":
                    load.latencies(own, seconds, RATE)
                else:
                    _write(dsn, sync, seconds)
                delays = heard.result()["delays"]
                if len(delays) < readers * RATE * seconds * 0.9:
                    raise Failed(f"{readers} readers heard of {len(delays)} events")
                yield from _lines(f"{readers} readers, commits {name}", delays, readers)
    listeners.ask({"port": api_port, "key": key, "readers": 0}, 60)
    time.sleep(REST_SECONDS + 1)  # by then it is known that they have left
    yield from _read(dsn, sync, key, api_port, listeners)


def _lines(name: str, delays: Sequence[float], readers: int) -> Iterator[Result]:
    for share, label, target in ((50, "median", MEDIAN_MS), (99, "99 %", NEARLY_ALL_MS)):
        figure = delays[min(len(delays) * share // 100, len(delays) - 1)]
        wanted = target if readers == max(READERS) else None
        yield result(f"live, ms: {name}, {label}", figure, None, figure, wanted)


def _idle(process: Process, seconds: float, name: str) -> Result:
    before = process.cpu()
    time.sleep(seconds)
    spent = (process.cpu() - before) / seconds * 1000
    return result(f"live, ms of CPU a second: {name}", spent, None, spent, None)


def _write(dsn: str, sync: Sync, seconds: float) -> None:
    """Events at the same rate, each in a transaction of its own."""
    start = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for n in range(int(seconds * RATE)):
            time.sleep(max(0.0, start + n / RATE - time.monotonic()))
            connection.execute(_INSERT, _event(sync, 1))


def _event(sync: Sync, number: int) -> Mapping[str, Any]:
    data = {
        "id": "recBenchmarks0001",
        "createdTime": "2026-11-21T12:00:00.000Z",
        "fields": record.FIELDS,
    }
    return {
        "sync": sync.id,
        "collection": record.TABLE_ID,
        "data": Jsonb(data),
        "number": number,
    }


def _read(
    dsn: str, sync: Sync, key: str, api_port: int, listeners: Process
) -> Iterator[Result]:
    """Events a second that one reader is told who comes late."""
    connection = HTTPConnection("127.0.0.1", api_port, timeout=60)
    headers = {"Authorization": f"Bearer {key}"}
    _, path, _ = _page(connection, "/v1/events?after=now&limit=1000", headers)
    late = path.partition("after=")[2].partition("&")[0]
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute(_INSERT, _event(sync, KEPT))
    marks, found, more = [time.perf_counter()], 0, True
    while more:
        count, path, more = _page(connection, path, headers)
        found += count
        marks.append(time.perf_counter())
    if found != KEPT:
        raise Failed(f"{found} of {KEPT} events were read")
    each = sorted(b - a for a, b in pairwise(marks))[len(marks) // 2]
    yield result("events a second in pages of 1,000", 1000 / each, None, 1000 / each, None)
    listeners.ask({"port": api_port, "key": key, "readers": 1, "after": late}, 60)
    heard = listeners.ask({"seconds": 2.0}, 60)["events"] / 2.0
    yield result("events a second, live, of a reader that is late", heard, None, heard, None)


def _page(
    connection: HTTPConnection, path: str, headers: Mapping[str, str]
) -> tuple[int, str, bool]:
    """How many events, where the next page is, and whether there are more."""
    connection.request("GET", path, headers=dict(headers))
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"{path}: {answer.status} {body[:200]!r}")
    link = answer.headers["Link"]
    more = answer.headers["Httpproxy-Stream"] == "more"
    return len(json.loads(body)), link[1 : link.find(">")], more

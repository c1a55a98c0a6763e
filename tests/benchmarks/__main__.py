"""Runs the benchmarks: a table on the screen, and the same in build/bench.json.

    python -m tests.benchmarks [--quick] [--only GROUP]

The groups: pass-through, commits, latency, workers, syncs, syncs10k, backfill, streams. They
need two cores that do nothing else, and stay under ten minutes, or stop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from httpproxy.store.embedded.server import EmbeddedPostgres
from tests.benchmarks import (
    backfill,
    by_hand,
    gateway,
    measures,
    peers,
    record,
    roster,
    streams,
    syncs,
    workers,
)
from tests.benchmarks.processes import ROOT, Failed, Process, Run
from tests.benchmarks.report import HEADING, Result, line, save
from tests.benchmarks.rounds import Load, Pace

FOLDER: Final = ROOT / "build" / "bench"
LIMIT_SECONDS: Final = 600
ROUNDS: Final = 5
TABLE: Final = record.TABLE.lower()  # as the store spells it
GROUPS: Final = (
    "pass-through",
    "commits",
    "latency",
    "workers",
    "syncs",
    "syncs10k",
    "backfill",
    "streams",
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds: a trial run")
    parser.add_argument("--only", choices=GROUPS, help="one group of benchmarks")
    return parser.parse_args()


def _expired(*_: object) -> None:
    raise Failed(f"the benchmarks took more than {LIMIT_SECONDS} s")


def _neighbours(run: Run, stub: Process, wanted: tuple[str, ...]) -> dict[str, Process]:
    makers: dict[str, Callable[[Run, int], Process]] = {"nginx": peers.nginx}
    if "pass-through" in wanted:
        makers |= {"plain aiohttp": peers.plain_proxy, "mitmproxy": peers.mitmproxy}
    started = {}
    for name, make in makers.items():
        try:
            started[name] = make(run, stub.port)
        except Failed as failed:
            print(f"left out: {failed}", file=sys.stderr)
    return started


def _database(dsn: str, name: str) -> str:
    """Another database of the same server; its DSN."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return f"{dsn.rsplit('/', 1)[0]}/{name}"


def make_sync(dsn: str) -> tuple[str, dict[str, Any]]:
    """The sync's prefix, and what the client that writes by hand has to know."""

    async def made() -> tuple[str, dict[str, Any]]:
        async with gateway.registry(dsn) as registry:
            found = gateway.discovered()
            sync = await gateway.make_sync(registry, "bench", record.BASE, found)
            return gateway.prefix(sync), await by_hand.twin(dsn, sync.schema_name, TABLE)

    return asyncio.run(made())


def _scene(run: Run, dsn: str, wanted: tuple[str, ...]) -> measures.Scene:
    stub = run.child("tests.benchmarks.stub")
    prefix, orders = make_sync(dsn)
    orders |= {"upstream": stub.port, "dsn": dsn}
    return measures.Scene(
        load=Load(run.child("tests.benchmarks.load")),
        stub=stub,
        gateway=gateway.Gateway(gateway.serve(run, dsn, stub.port), prefix),
        peers=_neighbours(run, stub, wanted),
        by_hand=run.child("tests.benchmarks.by_hand", json.dumps(orders)),
    )


def _measure(run: Run, dsn: str, wanted: tuple[str, ...], *, quick: bool) -> Iterator[Result]:
    if set(wanted) & {"pass-through", "commits", "latency"}:
        scene = _scene(run, dsn, wanted)
        groups = {
            "pass-through": (measures.pass_through, 2.0),
            "commits": (measures.commits, 3.0),
            "latency": (measures.latency, 2.0),
        }
        for name, (measure, seconds) in groups.items():
            if name in wanted:
                yield from measure(scene, Pace(2, 1.0) if quick else Pace(ROUNDS, seconds))
    if "workers" in wanted:
        databases = {count: _database(dsn, f"workers_{count}") for count in (1, 2)}
        prefixes = {count: (at, make_sync(at)[0]) for count, at in databases.items()}
        yield from workers.workers(run, prefixes, Pace(2, 2.0) if quick else Pace(ROUNDS, 3.0))
    if "syncs" in wanted:
        yield from syncs.many(run, dsn, 1_000 if quick else 10_000)
    if "syncs10k" in wanted:
        dsns = {number: _database(dsn, f"roster_{number}") for number in (roster.FEW, 10_000)}
        yield from roster.lists(run, dsns, Pace(2, 0.3) if quick else Pace(ROUNDS, 0.5))
    if "backfill" in wanted:
        yield from backfill.backfill(run, dsn, 2 if quick else ROUNDS, quick=quick)
    if "streams" in wanted:
        yield from streams.told(run, _database(dsn, "streams"), 2.0 if quick else 8.0)


def main() -> int:
    """Exit code 0 if every target was met, 1 if one was missed, 2 if a run broke off."""
    arguments = _arguments()
    wanted = (arguments.only,) if arguments.only else GROUPS
    signal.signal(signal.SIGALRM, _expired)
    signal.signal(signal.SIGTERM, _expired)
    signal.alarm(LIMIT_SECONDS)
    shutil.rmtree(FOLDER, ignore_errors=True)
    results: list[Result] = []
    server = EmbeddedPostgres(FOLDER)
    try:
        with Run(FOLDER) as run:
            server.start()
            print(HEADING, flush=True)
            for found in _measure(run, server.dsn, wanted, quick=arguments.quick):
                results.append(found)
                print(line(found), flush=True)
    except (Failed, KeyboardInterrupt) as broken:
        print(f"broke off: {broken}", file=sys.stderr)
        return 2
    finally:
        server.stop()
        save(results, ROOT / "build" / "bench.json")
    return 1 if any(found.met is False for found in results) else 0


if __name__ == "__main__":
    sys.exit(main())

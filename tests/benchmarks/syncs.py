"""Many syncs in one process: what each costs when it is idle, and finding one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.benchmarks import gateway, record
from tests.benchmarks.processes import Process, Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Load, Pace, interleaved, ratio, typical

BYTES_EACH: Final = ("at most", 3.0 * 1024)
CONSTANT_TIME: Final = ("at least", 0.9)
WARM_UP: Final = 5.0  # seconds: every sync is called at least once


Called = tuple[str, str]  # a sync's prefix and its base


async def _made(dsn: str, bases: list[str]) -> list[Called]:
    """New syncs, each on a base of its own and without tables."""
    async with gateway.registry(dsn) as registry:
        made = [await gateway.make_sync(registry, base, base, ()) for base in bases]
        return [(gateway.prefix(sync), sync.account) for sync in made]


def _gateway(run: Run, stub: Process, load: Load, dsn: str, called: list[Called]) -> Contestant:
    """A gateway that has been called under every sync it knows, and is idle again."""
    calls = tuple(record.read_call(prefix, base=base) for prefix, base in called)
    served = Contestant("gateway", gateway.serve(run, dsn, stub.port), calls)
    load.per_core_second(served, WARM_UP)
    return served


def many(run: Run, dsn: str, number: int) -> Iterator[Result]:
    """One gateway that knows one sync against one that knows `number` more."""
    stub = run.child("tests.benchmarks.stub")
    load = Load(run.child("tests.benchmarks.load"))
    one = asyncio.run(_made(dsn, ["appAlone"]))
    alone = replace(_gateway(run, stub, load, dsn, one), name="alone")
    before = alone.process.memory()
    called = asyncio.run(_made(dsn, [f"appMany{at:05}" for at in range(number)]))
    crowd = replace(_gateway(run, stub, load, dsn, called), name="crowd")
    each = (crowd.process.memory() - before) / number
    yield result(f"bytes for each of {number:,} idle syncs", each, None, each, BYTES_EACH)
    figures = interleaved([alone, crowd], Pace(5, 1.0), load.per_core_second)
    yield result(
        f"calls spread over {number:,} syncs per core-second, over calls of one",
        typical(figures, "crowd"),
        typical(figures, "alone"),
        ratio(figures, "crowd", "alone"),
        CONSTANT_TIME,
    )

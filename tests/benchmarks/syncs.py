"""Many syncs in one process: what each costs when it is idle, and finding one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from tests.benchmarks import gateway, record
from tests.benchmarks.processes import Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Load, Pace, interleaved, ratio, typical

BYTES_EACH: Final = ("at most", 3.0 * 1024)
CONSTANT_TIME: Final = ("at least", 0.95)
WARM_UP: Final = 2.0  # seconds


Called = tuple[str, str]  # a sync's prefix and its base


async def _made(dsn: str, bases: list[str]) -> list[Called]:
    """New syncs, each on a base of its own and without tables."""
    async with gateway.registry(dsn) as registry:
        made = [await gateway.make_sync(registry, base, base, ()) for base in bases]
        return [(gateway.prefix(sync), sync.account) for sync in made]


def _calls(called: list[Called]) -> tuple[bytes, ...]:
    return tuple(record.read_call(prefix, base=base) for prefix, base in called)


def many(run: Run, dsn: str, number: int) -> Iterator[Result]:
    """One gateway that knows one sync against one that knows `number` more.

    Memory is compared when both have answered calls of the one; what the others cost
    is then their place in the directory. The one is called among the others, which shows
    that finding it takes the same time, and then all of them, which costs a little more
    because the processor's caches do not hold them all.
    """
    stub = run.child("tests.benchmarks.stub")
    load = Load(run.child("tests.benchmarks.load"))
    one = _calls(asyncio.run(_made(dsn, ["appAlone"])))
    alone = Contestant("alone", gateway.serve(run, dsn, stub.port), one)
    load.per_core_second(alone, WARM_UP)
    before = alone.process.memory()
    others = _calls(asyncio.run(_made(dsn, [f"appMany{at:05}" for at in range(number)])))
    crowded = gateway.serve(run, dsn, stub.port)
    load.per_core_second(Contestant("crowded", crowded, one), WARM_UP)
    each = (crowded.memory() - before) / number
    yield result(f"bytes for each of {number:,} idle syncs", each, None, each, BYTES_EACH)
    crowd = Contestant("crowd", crowded, others)
    load.per_core_second(crowd, 2 * WARM_UP)
    contestants = [alone, Contestant("among", crowded, one), crowd]
    figures = interleaved(contestants, Pace(5, 1.0), load.per_core_second)
    for name, said, target in (
        ("among", f"calls of one sync among {number:,} per core-second", CONSTANT_TIME),
        ("crowd", f"calls spread over {number:,} syncs per core-second", None),
    ):
        yield result(
            f"{said}, over one alone",
            typical(figures, name),
            typical(figures, "alone"),
            ratio(figures, name, "alone"),
            target,
        )

"""Many syncs in one process: what each costs when it is idle, and finding one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, LiteralString

import psycopg

from httpproxy.store.registry import Sync
from tests.benchmarks import gateway, record
from tests.benchmarks.processes import Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Load, Pace, interleaved, ratio, typical

BYTES_EACH: Final = ("at most", 3.0 * 1024)
CONSTANT_TIME: Final = ("at least", 0.95)
WARM_UP: Final = 2.0  # seconds


# What is measured is a process that knows them, not the making of ten thousand schemas.
_MULTIPLY: Final[LiteralString] = """
    INSERT INTO httpproxy.sync
        (id, provider, name, account, unique_id, digest, schema_name, owns_schema,
        credential_id, rates, revision)
    SELECT 'sync_' || lpad(n::text, 20, '0'), provider, 'many_' || n, 'appMany' || n,
        unique_id || '_' || n, sha256((unique_id || '_' || n)::bytea), 'airtable_many_' || n,
        false, credential_id, rates, revision + n
    FROM httpproxy.sync, generate_series(1, %(number)s) AS n
    WHERE id = %(id)s
    RETURNING unique_id, account"""
_SKIP_REVISIONS: Final[LiteralString] = (
    "UPDATE httpproxy.revision SET value = (SELECT max(revision) FROM httpproxy.sync)"
)

Called = tuple[str, str]  # a sync's prefix and its base


async def _first(dsn: str) -> Sync:
    """One sync without tables."""
    async with gateway.registry(dsn) as registry:
        return await gateway.make_sync(registry, "alone", "appAlone", ())


def _more(dsn: str, sync: Sync, number: int) -> list[Called]:
    """Syncs like the first one, each on a base of its own."""
    with psycopg.connect(dsn) as connection:
        made = connection.execute(_MULTIPLY, {"number": number, "id": sync.id}).fetchall()
        connection.execute(_SKIP_REVISIONS)
    return [(f"/{unique_id}/{record.HOST}", base) for unique_id, base in made]


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
    sync = asyncio.run(_first(dsn))
    one = _calls([(gateway.prefix(sync), sync.account)])
    alone = Contestant("alone", gateway.serve(run, dsn, stub.port), one)
    load.per_core_second(alone, WARM_UP)
    before = alone.process.memory()
    others = _calls(_more(dsn, sync, number))
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

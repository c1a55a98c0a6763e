"""The backfill against plain COPY and against upserts, and its memory over a million records.

Pages of 100 records of twenty typed fields, the same bytes for all. Ours begins with the
bytes and ends with committed rows, meta rows and events; a peer begins with rows that are
ready, unless its name says otherwise, and ends with committed rows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from tests.benchmarks import by_hand, gateway, record
from tests.benchmarks.processes import Process, Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Pace, interleaved, ratio, typical

COPY_SHARE: Final = ("at least", 0.4)
UPSERTS: Final = ("at least", 4.0)
GROWTH: Final = ("at most", 50.0)

PAGES: Final = 200  # of one measurement
SLOW_PAGES: Final = 20  # for peers that take a transaction per row
FEW: Final = 10_000
MANY: Final = 1_000_000
PATIENCE: Final = 200.0  # seconds for one order
LISTINGS: Final = 2  # at once, as of several collections

OURS: Final = "ours"
ALONE: Final = "ours, one listing"

# Contestant (`copying.WAYS`) -> (its name in the table, the target of ours against it).
PEERS: Final[Mapping[str, tuple[str, tuple[str, float] | None]]] = {
    "copy by page": ("COPY by page", COPY_SHARE),
    "copy at once": ("COPY at once", COPY_SHARE),
    "copy of text": ("COPY of text", None),
    "copy from bytes": ("COPY from bytes", None),
    "upserts": ("upserts", UPSERTS),
    "upserts in pages": ("upserts by page", None),
}

_EMPTY: Final[LiteralString] = "TRUNCATE httpproxy.meta, httpproxy.event, {}, {}"


@dataclass
class _Stage:
    """Three processes, one of them for its memory alone, and the tables."""

    dsn: str
    ours: Process
    fresh: Process
    peers: Process
    tables: tuple[sql.Identifier, sql.Identifier]

    def empty(self) -> None:
        """Every measurement begins with empty tables."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(_EMPTY).format(*self.tables))
            connection.execute("CHECKPOINT")

    def rows_per_second(self, one: Contestant, pages: int = PAGES) -> float:
        """What one contestant does with pages that it has in memory."""
        self.empty()
        order: dict[str, Any] = {"first": 0, "pages": pages}
        if one.process is self.ours:
            order |= {"listings": 1 if one.name == ALONE else LISTINGS, "meanwhile": False}
        else:
            order["pages"] = SLOW_PAGES if one.name.startswith("upserts") else pages
            order["way"] = one.name
        answer = one.process.ask(order, PATIENCE)
        return float(order["pages"] * record.PAGE / answer["seconds"])


def _staged(run: Run, dsn: str) -> _Stage:
    async def made() -> tuple[str, str, str, dict[str, Any]]:
        async with gateway.registry(dsn) as registry:
            found = gateway.discovered()
            sync = await gateway.make_sync(registry, "backfill", "appBackfill", found)
            (table,) = (await registry.tables(sync)).tables.values()
            twin = await by_hand.twin(dsn, sync.schema_name, table.name, "by_copy")
            return sync.name, sync.schema_name, table.name, twin

    name, schema, table, twin = asyncio.run(made())
    ours = json.dumps({"dsn": dsn, "name": name})
    return _Stage(
        dsn,
        run.child("tests.benchmarks.loading", ours),
        run.child("tests.benchmarks.loading", ours),
        run.child("tests.benchmarks.copying", json.dumps({"dsn": dsn, **twin})),
        (sql.Identifier(schema, table), sql.Identifier(*twin["table"])),
    )


def backfill(run: Run, dsn: str, rounds: int, *, quick: bool) -> Iterator[Result]:
    """Rows per second against each peer; memory only if there is time for it."""
    stage = _staged(run, dsn)
    contestants = [
        Contestant(OURS, stage.ours, ()),
        Contestant(ALONE, stage.ours, ()),
        *(Contestant(name, stage.peers, ()) for name in PEERS),
    ]
    figures = interleaved(
        contestants, Pace(rounds, 0), lambda one, _: stage.rows_per_second(one)
    )
    for name, (told, target) in PEERS.items():
        for ours, how in ((OURS, f"{LISTINGS} listings"), (ALONE, "one listing")):
            yield result(
                f"backfill, rows/s, {how}, over {told}",
                typical(figures, ours),
                typical(figures, name),
                ratio(figures, ours, name),
                target if ours == OURS else None,
            )
    if not quick:
        yield _memory(stage)


def _memory(stage: _Stage) -> Result:
    """Pages are made on the fly, loaded and forgotten."""

    def peak(first: int, last: int) -> float:
        span = {"first": first // record.PAGE, "pages": (last - first) // record.PAGE}
        order = {**span, "listings": LISTINGS, "meanwhile": True}
        return float(stage.fresh.ask(order, PATIENCE)["peak"]) / 1e6

    stage.empty()
    few = peak(0, FEW)
    many = peak(FEW, MANY)
    name = f"backfill, peak MB of {MANY:,} records less that of {FEW:,}"
    return result(name, many, few, many - few, GROWTH)

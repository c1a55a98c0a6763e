"""What a run has done, in figures, and what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.faults.checker import Violation
from tests.faults.database import Book
from tests.faults.history import History
from tests.faults.stage import Stage
from tests.faults.telling import told


@dataclass
class Verdict:
    """What came out."""

    figures: dict[str, Any]
    violations: list[Violation]
    history: History

    def __str__(self) -> str:
        return "\n\n".join(told(self.history, v) for v in self.violations[:10])


@dataclass
class Doubts:
    """Watches the calls whose outcome is not known: how many, and until when."""

    ages: dict[int, float] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    async def watch(self, book: Book, stop: asyncio.Event) -> None:
        """Notes them until it is told to stop."""
        query = (
            "SELECT id, extract(epoch FROM now() - began_at)::float8 AS age"
            " FROM httpproxy.intent WHERE state = 'uncertain'"
        )
        while not stop.is_set():
            await asyncio.sleep(0.5)
            try:
                found = {row["id"]: row["age"] for row in await book.ask(query)}
            except psycopg.Error:
                continue  # the database is being restarted
            self.ages |= found
            self.gone = self.ages.keys() - found.keys()

    def figures(self) -> dict[str, Any]:
        """How many there were, and the seconds from their beginning to their settlement."""
        ages = sorted(self.ages[each] for each in self.gone)
        if not ages:
            return {"seen": len(self.ages), "settled": 0}
        shares = {"half": 0.5, "nine tenths": 0.9, "all": 1.0}
        at = {n: round(ages[int(s * (len(ages) - 1))], 1) for n, s in shares.items()}
        return {"seen": len(self.ages), "settled": len(ages), "after seconds": at}


def figures(
    stage: Stage,
    history: History,
    doubts: Doubts,
    troubles: Mapping[str, int],
    seconds: Mapping[str, int],
) -> dict[str, Any]:
    """What was done, as JSON."""
    ledger, tally = stage.ledger, stage.tally
    calls = Counter(f"{call.outcome}" for call in history.calls)
    with_key = (c.code or c.receipt or f"{c.outcome}" for c in history.calls if c.keyed)
    return {
        "kills": tally.kills.total(),
        "kills by step": dict(sorted(tally.kills.items())),
        "other ends": dict(sorted(tally.ends.items())),
        "troubles": dict(sorted(troubles.items())),
        "calls": len(history.calls),
        "calls by outcome": dict(sorted(calls.items())),
        "calls with a key": dict(sorted(Counter(with_key).items())),
        "acknowledged writes": ledger.acknowledged,
        "deferred": ledger.deferred,
        "looks at rows": len(history.looks),
        "calls in doubt": doubts.figures(),
        "records marked at rest": sum(len(tables.excused) for tables in history.tables),
        "requests at the APIs": len(history.received),
        "versions": len(history.changes),
        "row changes": len(history.strokes),
        "seconds": dict(seconds),
    }

"""Lists of syncs over HTTP: ten thousand of them against a hundred.

Both answer the same: as many syncs are at each phase, and have the metadata that is asked for,
among the many as among the few. What is measured is then how much longer it takes to find them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median
from typing import Final, LiteralString
from urllib.parse import quote

import psycopg

from httpproxy.store.database import Database
from httpproxy.store.secrets.keys import Keys
from tests.benchmarks import gateway
from tests.benchmarks.processes import Failed, Process, Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Pace, interleaved, ratio, typical

NO_SLOWER: Final = ("at most", 1.5)
FEW: Final = 100
_EACH: Final = 10  # syncs at each phase but live; and to a page
_COLLECTIONS: Final = 3

_SYNCS: Final[LiteralString] = """
    INSERT INTO httpproxy.sync
        (id, provider, name, account, unique_id, digest, schema_name, owns_schema, revision,
        bare, status, external_id, metadata, created_at)
    SELECT 'sync_' || lpad(n::text, 20, '0'),
        CASE WHEN n <= 10 THEN 'hubspot' ELSE 'airtable' END,
        'many ' || n, 'account ' || n, 'unique ' || n, sha256(n::text::bytea), 'many_' || n,
        false, n, false, CASE WHEN n <= 10 THEN 'paused' ELSE 'active' END, 'external ' || n,
        jsonb_build_object('customer', n, 'env', 'prod', 'plan',
            CASE WHEN n <= 10 THEN 'enterprise' ELSE 'pro' END),
        now() + n * interval '1 millisecond'
    FROM generate_series(1, %(number)s) AS n"""
_COLLECTED: Final[LiteralString] = """
    INSERT INTO httpproxy.collection
        (sync_id, upstream_id, name, table_name, aliases, key, position)
    SELECT s.id, 'tbl' || k, 'Table ' || k, 'table_' || k, '{}', '{$id}', k
    FROM httpproxy.sync s, generate_series(1, %(collections)s) AS k"""
# Ten of each, one after another: paused, failing, held, backfill, waiting, sweep, removed.
_PROGRESS: Final[LiteralString] = """
    INSERT INTO httpproxy.progress (collection, backfilled_at, listed_at, heard_at, error)
    SELECT c.id, CASE WHEN s.revision BETWEEN 31 AND 50 THEN NULL ELSE now() END, now(), now(),
        CASE WHEN s.revision BETWEEN 11 AND 20 AND c.position = 1 THEN 'no' END
    FROM httpproxy.collection c JOIN httpproxy.sync s ON s.id = c.sync_id"""
_RUNS: Final[LiteralString] = """
    INSERT INTO httpproxy.run
        (collection, kind, thorough, start_seq, held_at, held_missing, held_rows)
    SELECT c.id, CASE WHEN s.revision BETWEEN 31 AND 40 THEN 'backfill' ELSE 'sweep' END,
        false, 1,
        CASE WHEN s.revision BETWEEN 21 AND 30 THEN now() END, 5, 9
    FROM httpproxy.collection c JOIN httpproxy.sync s ON s.id = c.sync_id
    WHERE c.position = 1 AND (s.revision BETWEEN 21 AND 40 OR s.revision BETWEEN 51 AND 60)"""
_REMOVED: Final[LiteralString] = """
    UPDATE httpproxy.collection c SET removed_at = now() FROM httpproxy.sync s
    WHERE s.id = c.sync_id AND s.revision BETWEEN 61 AND 70"""
_SKIP_REVISIONS: Final[LiteralString] = (
    "UPDATE httpproxy.revision SET value = (SELECT max(revision) FROM httpproxy.sync)"
)

CASES: Final[Mapping[str, str]] = {
    "first page": "limit=100",
    "by provider": "provider=hubspot",
    "by name": "name=many%207",
    "by external id": "external_id=external%207",
    "by status": "status=paused",
    "by metadata of one": f"metadata={quote(json.dumps({'customer': 7}))}",
    "by metadata of ten": f"metadata={quote(json.dumps({'plan': 'enterprise'}))}",
    "by metadata of all": f"metadata={quote(json.dumps({'env': 'prod'}))}",
    **{
        f"by health: {phase}": f"health={phase}"
        for phase in (
            "waiting", "backfill", "live", "sweep", "held", "failing", "paused", "removed",
        )
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Side:
    """A service with so many syncs, and the headers of who asks it."""

    process: Process
    headers: Mapping[str, str]

    def get(self, connection: HTTPConnection, path: str) -> tuple[list[object], str]:
        """A page, and where the next one is."""
        connection.request("GET", path, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Failed(f"{path}: {answer.status} {body[:200]!r}")
        link = answer.headers.get("Link", "")
        return json.loads(body), link[1 : link.find(">")] if link else ""


def fill(dsn: str, number: int) -> None:
    """Makes so many syncs, without their tables."""
    parameters = {"number": number, "collections": _COLLECTIONS}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (_SYNCS, _COLLECTED, _PROGRESS, _RUNS, _REMOVED, _SKIP_REVISIONS):
            named = {k: v for k, v in parameters.items() if f"%({k})s" in statement}
            connection.execute(statement, named or None)
        connection.execute("VACUUM ANALYZE")


async def _prepared(dsn: str, number: int) -> str:
    """A database with so many syncs; the text of an API key."""
    async with Database(dsn) as database:
        _, key = await Keys(database, time.monotonic).create("bench", ["read"])
        await asyncio.to_thread(fill, dsn, number)
        return key.reveal()


def lists(run: Run, dsns: Mapping[int, str], pace: Pace) -> Iterator[Result]:
    """Milliseconds of a page, by what is asked for; the most syncs over the fewest."""
    few, many = sorted(dsns)
    sides = {}
    for number, dsn in dsns.items():
        key = asyncio.run(_prepared(dsn, number))
        process = gateway.serve_api(run, dsn)
        sides[number] = _Side(process, {"Authorization": f"Bearer {key}"})
    paths = {name: f"/v1/syncs?limit={_EACH}&{query}" for name, query in CASES.items()}
    paths["first page"] = f"/v1/syncs?{CASES['first page']}"
    for name, path in paths.items():
        yield _compared(sides, name, {few: path, many: path}, pace)
    yield _compared(
        sides, "deep page", {few: paths["first page"], many: _deep(sides[many])}, pace
    )


def _deep(side: _Side) -> str:
    """The path of the last page but a few."""
    connection = HTTPConnection("127.0.0.1", side.process.port, timeout=30)
    path = "/v1/syncs?limit=1000"
    while link := side.get(connection, path)[1]:
        before, path = path, link
    return before.replace("limit=1000", "limit=100")


def _compared(
    sides: Mapping[int, _Side], name: str, paths: Mapping[int, str], pace: Pace
) -> Result:
    few, many = sorted(sides)
    contestants = [
        Contestant(str(number), side.process, (paths[number].encode(),))
        for number, side in sides.items()
    ]

    def measure(one: Contestant, seconds: float) -> float:
        side, (path,) = sides[int(one.name)], one.requests
        return _median(side, path.decode(), seconds)

    figures = interleaved(contestants, pace, measure)
    return result(
        f"list of syncs, {name}, ms: {many:,} over {few:,}",
        typical(figures, str(many)),
        typical(figures, str(few)),
        ratio(figures, str(many), str(few)),
        NO_SLOWER,
    )


def _median(side: _Side, path: str, seconds: float) -> float:
    connection = HTTPConnection("127.0.0.1", side.process.port, timeout=30)
    took: list[float] = []
    until = time.monotonic() + seconds
    while not took or time.monotonic() < until:
        began = time.perf_counter()
        found, _ = side.get(connection, path)
        took.append((time.perf_counter() - began) * 1000)
        if not found:
            raise Failed(f"{path}: nothing found")
    connection.close()
    return median(took)

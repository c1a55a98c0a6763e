"""How far the tables lie behind their APIs, for metrics: all syncs in a few short queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from httpproxy.store.database import Connection, Database
from httpproxy.store.queries import load

_SQL: Final = load("sync/lags.sql")


@dataclass(frozen=True, slots=True)
class Lag:
    """One collection. `behind` and `unlisted` are seconds since the last word of its feed
    or listing, and since the last listing; `checked` and `drifted` rows in all."""

    sync: str
    table: str
    behind: float
    unlisted: float
    failures: int
    checked: int
    drifted: int
    held: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The collections that are farthest behind, and how many more there are.

    `syncs` counts by status; `processes` are those that serve this database. `stream_lag`:
    for how many seconds the oldest event that no stream tells yet has been committed.
    `unrefreshed` credentials were not refreshed at the last try; `expiring` ones are used by
    active syncs, and their tokens end within minutes or have ended.
    """

    lags: tuple[Lag, ...]
    left_out: int
    syncs: Mapping[str, int]
    processes: int
    stream_lag: float = 0.0
    unrefreshed: int = 0
    expiring: int = 0


class Lags:
    """Reads how the syncs stand. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, limit: int) -> Overview:
        """The `limit` collections that are farthest behind, and the numbers of syncs."""
        async with self._database.connection() as connection:
            rows = await (
                await connection.execute(_SQL["read_lags"], {"limit": limit})
            ).fetchall()
            counted = await (await connection.execute(_SQL["count_syncs"])).fetchall()
            waits = await _stream_lag(connection)
            (tokens,) = await (await connection.execute(_SQL["count_tokens"])).fetchall()
        total = rows[0].pop("collections") if rows else 0
        for row in rows[1:]:
            del row["collections"]
        counts = {row["status"]: row["number"] for row in counted}
        processes = counts.pop("processes")
        return Overview(
            tuple(Lag(**row) for row in rows),
            total - len(rows),
            counts,
            processes,
            waits,
            **tokens,
        )

    async def stream_lag(self) -> float:
        """Of the streams alone: see Overview."""
        async with self._database.connection() as connection:
            return await _stream_lag(connection)


async def _stream_lag(connection: Connection) -> float:
    row = await (await connection.execute(_SQL["stream_lag"])).fetchone()
    return float(row["lag"]) if row else 0.0

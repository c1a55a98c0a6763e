"""What the database knows of the syncs, asked for when somebody looks, and kept a moment.

A scrape never waits long for the database: it gets what was read last, and `standing_age`
says how old that is. While the database is away nothing is made up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from httpproxy.api.metrics.samples import Sample
from httpproxy.store.sync.lags import Lags, Overview

log = logging.getLogger(__name__)

FRESH: Final = 5.0  # seconds for which what was read is not read again
PATIENCE: Final = 2.0  # seconds that a scrape waits for it
FORGOTTEN: Final = 60.0  # seconds after which old answers are not shown any more
COLLECTIONS: Final = 500

CountIntents = Callable[[], Awaitable[Mapping[str, float]]]


class StandingReader:
    """Asks the database. `clock` is a monotonic one, in seconds."""

    def __init__(
        self, lags: Lags, count_intents: CountIntents | None, clock: Callable[[], float]
    ) -> None:
        self._lags, self._count_intents = lags, count_intents
        self._clock = clock
        self._known: tuple[Overview, Mapping[str, float]] | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def samples(self) -> list[Sample]:
        """What is known, read anew if it is not fresh."""
        await self._refresh()
        age = self._clock() - self._read_at
        if self._known is None or age > FORGOTTEN:
            return []
        standing, intents = self._known
        return [
            Sample("standing_age_seconds", (), age),
            *_of_standing(standing),
            *_of_intents(intents),
        ]

    async def _refresh(self) -> None:
        async with self._reading:
            if self._clock() - self._read_at < FRESH:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    standing = await self._lags.read(COLLECTIONS)
                    intents = await self._count_intents() if self._count_intents else {}
            except (OSError, TimeoutError) as error:
                log.info("the standing of the syncs cannot be read: %s", error)
                return
            except Exception:  # a query that an administrator cancels spoils no scrape
                log.exception("the standing of the syncs could not be read")
                return
            self._known, self._read_at = (standing, intents), self._clock()


def _of_standing(standing: Overview) -> Iterator[Sample]:
    yield Sample("processes", (), standing.processes)
    yield Sample("credentials_unrefreshed", (), standing.unrefreshed)
    yield Sample("credentials_expiring", (), standing.expiring)
    yield Sample("stream_lag_seconds", (), standing.stream_lag)
    yield Sample("collections_left_out", (), standing.left_out)
    for status, number in standing.syncs.items():
        yield Sample("syncs", (status,), number)
    for lag in standing.lags:
        table = (lag.sync, lag.table)
        yield Sample("collection_lag_seconds", table, lag.behind)
        yield Sample("collection_unlisted_seconds", table, lag.unlisted)
        yield Sample("collection_failures", table, lag.failures)
        yield Sample("collection_held", table, lag.held)
        yield Sample("truth_checked", table, lag.checked)
        yield Sample("truth_drifted", table, lag.drifted)


def _of_intents(counts: Mapping[str, float]) -> Iterator[Sample]:
    if counts:
        yield Sample("intents", ("under_way",), counts["open"] - counts["uncertain"])
        yield Sample("intents", ("uncertain",), counts["uncertain"])
        yield Sample("intents_oldest_seconds", (), counts["oldest_seconds"])

"""Is it so? Rows compared with what the API says of them now.

    verify   on demand: a sample of a collection, or all of it, with a repair if wanted
    meter    all the time: a few rows now and then, counted, and what is wrong repaired

A row that differs may only be one that the sync has not heard of yet. The meter looks
at it again when every feed has had its turn: what differs still has drifted.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from httpproxy.exchange.directory.syncs import Live, tables_of
from httpproxy.store.layouts.tables import SyncTables, Table
from httpproxy.store.registry import Registry
from httpproxy.store.sync.comparing import Comparing, Verdict
from httpproxy.store.sync.progress import Progress
from httpproxy.sync.reading import Reading
from httpproxy.sync.troubles import Troubles
from httpproxy.upstream.lane import Priority
from providers.record import Change

log = logging.getLogger(__name__)

JOB: Final = "verify"
AT_ONCE: Final = 100

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at rows of a collection found.

    drifted   the row says something else than the API
    absent    the API has the record and the table lacks its row
    moved     rows that were written while they were read: nothing can be said of them
    repaired  how many of the drifted and absent were put right
    """

    collection: str
    checked: int = 0
    same: int = 0
    drifted: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    moved: int = 0
    repaired: int = 0

    def with_more(self, other: Finding) -> Finding:
        """Both findings of one collection as one."""
        return Finding(
            self.collection,
            self.checked + other.checked,
            self.same + other.same,
            self.drifted + other.drifted,
            self.absent + other.absent,
            self.moved + other.moved,
            self.repaired + other.repaired,
        )

    @property
    def wrong(self) -> tuple[str, ...]:
        """The records of which the database is wrong."""
        return self.drifted + self.absent


@dataclass(frozen=True)
class Truth:
    """Compares rows with the API."""

    reading: Reading
    comparing: Comparing
    registry: Registry

    async def verify(
        self, live: Live, collection: str | None, *, sample: int | None, repair: bool
    ) -> list[Finding]:
        """Looks at `sample` rows of each collection (or of one), None: at all records.

        All records means that the API lists them, so that rows which the table lacks are
        found too, and rows of records that are gone. Raises Refused, Rejected,
        ListingExpired, OSError.
        """
        tables = await tables_of(live, self.registry)
        chosen = [t for t in tables.tables.values() if collection in (None, t.collection.id)]
        findings = []
        for table in chosen:
            finding = Finding(table.collection.id)
            keys = self._sampled(table, sample) if sample else self._listed(live, table)
            async for some in keys:
                found = await self.look(live, tables, table, some, repair=repair)
                finding = finding.with_more(found)
            findings.append(finding)
        return findings

    async def look(
        self, live: Live, tables: SyncTables, table: Table, keys: Sequence[Key], *, repair: bool
    ) -> Finding:
        """Reads these records and compares their rows. Raises Refused, Rejected, OSError."""
        began = self.reading.begin()
        images = await self.reading.look(live, table, keys, Priority.BACKFILL)
        verdicts = await self.comparing.compare(table, images, began.start)
        drifted = tuple(r for r, v in verdicts.items() if v is Verdict.DIFFERS)
        absent = tuple(r for r, v in verdicts.items() if v is Verdict.ABSENT)
        finding = Finding(
            table.collection.id,
            checked=len(verdicts),
            same=sum(v is Verdict.SAME for v in verdicts.values()),
            drifted=drifted,
            absent=absent,
            moved=sum(v is Verdict.MOVED for v in verdicts.values()),
        )
        if not (repair and finding.wrong):
            return finding
        wrong = set(finding.wrong)
        change = Change(images=tuple(i for i in images if i.record_id in wrong))
        marks = await self.reading.take_in(live, tables, change, began)
        await self.registry.mark_dirty(live.sync, marks)
        return replace(finding, repaired=len(wrong) - len(marks))

    async def _sampled(self, table: Table, sample: int) -> AsyncIterator[Sequence[Key]]:
        keys = await self.comparing.sample(table, sample)
        for at in range(0, len(keys), AT_ONCE):
            yield keys[at : at + AT_ONCE]

    async def _listed(self, live: Live, table: Table) -> AsyncIterator[Sequence[Key]]:
        """Every record that the API lists, and then every row that it did not."""
        seen: set[Key] = set()
        after: str | None = None
        while True:
            conversation = live.provider.list_page(table.collection, after, False)
            page = await self.reading.ask(live, table, conversation, Priority.BACKFILL)
            seen.update(page.seen)
            for at in range(0, len(page.seen), AT_ONCE):
                yield page.seen[at : at + AT_ONCE]
            after = page.after
            if after is None:
                break
        async for keys in self.comparing.all_keys(table):
            if unlisted := [key for key in keys if key not in seen]:
                yield unlisted


@dataclass
class Meter:
    """Looks at a few rows of each sync now and then. `interval` in seconds."""

    truth: Truth
    progress: Progress
    troubles: Troubles
    sample: int
    interval: float
    suspicion: float  # seconds after which every feed has had its turn
    pick: Callable[[Sequence[Table]], Table]
    _suspects: dict[str, tuple[str, tuple[Key, ...]]] = field(default_factory=dict)

    async def look(self, live: Live) -> float | None:
        """Looks at a sample, or again at what differed; returns seconds to the next look."""
        tables = await tables_of(live, self.truth.registry)
        if not self.sample or not tables.tables:
            return None
        suspect = self._suspects.pop(live.sync.id, None)
        if suspect is not None and suspect[0] in tables.tables:
            table, keys = tables.tables[suspect[0]], list(suspect[1])
        else:
            suspect = None
            table = self.pick(list(tables.tables.values()))
            keys = list(await self.truth.comparing.sample(table, self.sample))
        if not keys:
            return self.interval
        async with self.troubles.noting(live, JOB, (table,)) as attempt:
            certain = suspect is not None
            finding = await self.truth.look(live, tables, table, keys, repair=certain)
            if finding.wrong and not certain:
                wrong = tuple(key for key in keys if ":".join(key) in set(finding.wrong))
                self._suspects[live.sync.id] = (table.collection.id, wrong)
                same = finding.checked - finding.moved - len(finding.wrong)
                await self.progress.count_truth(table, same, 0)
                return self.suspicion
            if finding.wrong:
                log.error(
                    "sync %s: %s: %d row(s) had drifted from the API and were repaired: %s",
                    live.sync.name, table.collection.name, len(finding.wrong),
                    ", ".join(finding.wrong[:5]),
                )  # fmt: skip
            checked = finding.checked - finding.moved
            await self.progress.count_truth(table, checked, len(finding.wrong))
            return self.interval
        return attempt.pause

    def forget(self, sync_id: str) -> None:
        """The sync is gone."""
        self._suspects.pop(sync_id, None)

"""Many lanes on one house, turn by turn, with the invariants checked after each.

turn      every lane makes its next move; their commits share the committers
check     what the users' tables have shown since, lane by lane
finish    everything under way comes to its end, marks are read, one cycle of the sync
          is made: then the rows are what upstream has
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from httpproxy.store.errors import Stale
from httpproxy.store.sync.states import RunKind
from httpproxy.sync.listing import _Course
from httpproxy.sync.reading import Began
from providers.record import Change, Image
from tests.model.authority import KEPT, PLAIN, VALUES, Chronicle, Record
from tests.model.house import House, Process
from tests.model.schedules import Lane
from tests.model.turnstile import Line, Turnstile
from tests.model.upstream_model import Claim, UpstreamModel
from tests.model.verdicts import Violation, Watch

_COLLECTIONS: Final = (PLAIN.id, KEPT.id)
_AGO: Final = 120.0  # seconds that the model's time lies back, so that it may run ahead
_TURN: Final = 0.4  # seconds between two turns
_ROUNDS: Final = 50  # until all marks are settled


class Stage:
    """The records of one example, and everything that happens to them."""

    def __init__(self, house: House, lanes: int, focus: int | None = None) -> None:
        self.house = house
        self.chronicle = Chronicle(time.time_ns() // 10**9 - _AGO)
        self.lanes = [Lane(number, self, focus) for number in range(lanes)]
        self.upstream = UpstreamModel(self)
        self.live = house.live(self.upstream)
        self.line = Line("sync")
        self.answered: list[Claim] = []
        self.answers = 0
        self._turnstile = Turnstile()
        self._lane_of = {record.id: lane for lane in self.lanes for record in lane.records}
        self._watches = {w.record.id: w for lane in self.lanes for w in lane.watches}
        self._busy: set[str] = set()
        self._open = False

    # What operations ask for

    def record(self, record_id: str) -> Record:
        return self._watches[record_id].record

    def records(self, collection: str) -> list[Record]:
        watched = (w.record for w in self._watches.values())
        return [record for record in watched if record.style.collection.id == collection]

    def line_of(self, record: Record) -> Line:
        return self._lane_of[record.id].line

    def tell(self, records: Iterable[Record], what: str) -> None:
        for record in records:
            self.line_of(record).tell(f"sync: {record.id} version {record.version}: {what}")

    def start(self, operation: Coroutine[Any, Any, None]) -> None:
        self._turnstile.start(operation)

    async def stop(self, line: Line, where: str) -> None:
        await self._turnstile.stop(line, where)

    def release(self, line: Line, which: int) -> None:
        line.tell("-> " + self._turnstile.release(line, which))

    def begin(self, which: int) -> tuple[Process, Began]:
        """A process, and when an exchange of its begins that begins now."""
        process = self.house.processes[which]
        return process, process.reading.begin()

    def begun(self, process: Process, began: Began) -> Began:
        """When an exchange began whose answer has come."""
        return began if self.house.habits.starts_before else process.reading.begin()

    async def take_in(self, process: Process, images: Sequence[Image], began: Began) -> str:
        """Commits what the sync has read; overlaps are marked. Returns what is told of it."""
        change = Change(tuple(images))
        began = self.begun(process, began)
        marks = await process.reading.take_in(self.live, self.house.tables, change, began)
        await self.house.registry.mark_dirty(self.house.sync, marks)
        return f"read from clock {began.start} on; {len(marks)} of {len(images)} refused"

    async def look(self, done: Iterable[tuple[Record, int]], columns: tuple[str, ...]) -> None:
        """A SELECT at the moment of an answer sees the write or a later version (I2)."""
        for record, version in done:
            seen = Watch(record)
            seen.row = await self.house.row(record.style.collection.id, record.id)
            seen.unknown = {c for c in VALUES if seen.row and seen.row.shows(c) is None}
            seen.reach("I2 at the answer", version, columns)

    # Turns

    async def turn(self, choices: bytes) -> None:
        """One byte for the sync's own work, then one for each lane."""
        await self._open_feeds()
        self.chronicle.now += _TURN
        self._move_sync(choices[0])
        for lane, byte in zip(self.lanes, choices[1:], strict=True):
            lane.move(byte)
        await self._turnstile.settled()
        await self.check()

    def _move_sync(self, byte: int) -> None:
        """Of the byte's bits four let operations go on, and four begin some."""
        for which in reversed(range(len(self.line.stopped))):
            if byte >> which % 4 & 1:
                self.release(self.line, which)
        n = byte & 1
        process, collection = self.house.processes[n], _COLLECTIONS[byte >> 1 & 1]
        if byte & 16:
            for each, other in enumerate(self.house.processes):
                self._begin(f"reread {each}", other.rereading.work_off(self.live))
        if byte & 32:
            for name in _COLLECTIONS:
                self._begin(f"hear {name}", self._hear(process, name))
        if byte & 192 == 192:
            listing = self._list(process, collection, thorough=byte & 4 == 0)
            self._begin(f"list {collection} {n}", listing)

    def _begin(self, name: str, operation: Coroutine[Any, Any, Any]) -> None:
        """Starts a job of the sync's, unless it is under way."""
        if name in self._busy:
            operation.close()
            return
        self._busy.add(name)

        async def alone() -> None:
            try:
                await operation
            finally:
                self._busy.discard(name)

        self.start(alone())

    async def check(self) -> None:
        """Every row of the committed history, then what was answered meanwhile."""
        for record_id, row in await self.house.news():
            self._judge(record_id, lambda watch, row=row: watch.see(row))
        self.answers += len(self.answered)
        for record, version, columns in self.answered:
            self._judge(record.id, lambda w, v=version, c=columns: w.reach("I2", v, c))
        self.answered.clear()

    def _judge(self, record_id: str, check: Callable[[Watch], None]) -> None:
        """Does a check; a violation comes with the lane's story."""
        try:
            check(self._watches[record_id])
        except Violation as violation:
            line = self._lane_of[record_id].line
            story = "\n  ".join(line.story)
            raise Violation(f"{violation}\n{line.name}\n  {story}") from None

    async def finish(self) -> None:
        """Brings everything to its end and compares with upstream (I10, then I1)."""
        await self._open_feeds()
        # No late answer makes up for what was lost: the sync is killed, and some pages are.
        self._turnstile.give_up(self.line, "")
        for lane in self.lanes:
            if lane.hurries:
                self._turnstile.give_up(lane.line, "page")
        await self._drain()
        await self._reread_all()
        for record, version, columns in self.upstream.claims:
            self._judge(record.id, lambda w, v=version, c=columns: w.reach("I10", v, c))
        for record_id in self._watches:
            self._judge(record_id, Watch.is_complete)
        await self._cycle()
        for record_id in self._watches:
            self._judge(record_id, Watch.equals_upstream)
        shown = {i: w.row for i, w in self._watches.items() if w.row is not None}
        if await self.house.rows() != shown:
            raise Violation("the audit trigger and the tables tell different rows")

    async def _cycle(self) -> None:
        """All that the sync does when nothing else happens, once."""
        self.upstream.complete = True
        for n, name in enumerate(_COLLECTIONS):
            self._begin(f"hear {name}", self._hear(self.house.processes[n], name))
        await self._drain()
        for n, name in enumerate(_COLLECTIONS):
            listing = self._list(self.house.processes[n], name, thorough=False)
            self._begin(f"list {name}", listing)
        await self._drain()
        await self._reread_all()

    async def _drain(self) -> None:
        """Lets everything go on until nothing is under way."""
        lines = [self.line, *(lane.line for lane in self.lanes)]
        await self._turnstile.settled()
        while any(line.stopped for line in lines):
            self.chronicle.now += _TURN
            for line in lines:
                if line.stopped:
                    self.release(line, 0)
            await self._turnstile.settled()
            await self.check()

    async def _reread_all(self) -> None:
        """Re-reads until nothing is marked."""
        for n in range(_ROUNDS):
            if await self.house.progress.marked(self.house.tables, 1) is None:
                return
            process = self.house.processes[n % 2]
            self._begin("reread", process.rereading.work_off(self.live))
            await self._drain()
        raise Violation("I10: marks are never settled")

    async def abandon(self) -> None:
        """Ends the example wherever it is."""
        await self._turnstile.abandon()
        await self.house.clear()

    # The sync's jobs

    async def _open_feeds(self) -> None:
        """What changes from now on is told."""
        if not self._open:
            self._open = True
            for name in _COLLECTIONS:
                await self._hear(self.house.processes[0], name)

    async def _hear(self, process: Process, collection: str) -> None:
        table = self.house.tables.tables[collection]
        (feed,) = self.upstream.feeds([table.collection])
        heard = await process.listening._hear(self.live, self.house.tables, feed, [table])
        self.upstream.taken_in(heard.change, ())

    async def _list(self, process: Process, collection: str, *, thorough: bool) -> None:
        """A sweep from end to end; another process may have begun anew meanwhile."""
        table = self.house.tables.tables[collection]
        start = process.reading.begin().start
        run = await self.house.progress.begin_run(
            table, RunKind.SWEEP, start, thorough=thorough, mark=None
        )
        course = _Course(self.live, self.house.tables, table)
        try:
            await process.listing._run(course, run, approved=True)
        except Stale:
            return

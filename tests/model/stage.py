"""Many lanes on one house, turn by turn, with the invariants checked after each.

turn      every lane makes its next move; their commits share the committers
check     what the users' tables have shown since, lane by lane
finish    everything under way comes to its end, marks are read, one sweep is made:
          then the rows are what upstream has
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from httpproxy.store.commit import Committer
from providers.record import Image, ImageKind
from tests.model.authority import KEPT, PLAIN, VALUES, Life, Record
from tests.model.house import House, ReadBack
from tests.model.schedules import Lane
from tests.model.turnstile import Line, Turnstile
from tests.model.verdicts import Violation, Watch

Reading = tuple[Record, int]  # a record, and the version that was read
Claim = tuple[Record, int, tuple[str, ...]]  # a version, and the columns that show it
_COLLECTIONS: Final = (PLAIN.id, KEPT.id)
_MARKS_AT_ONCE: Final = 100
_PAGES: Final = 2
_ROUNDS: Final = 50  # until all marks are settled


class Stage:
    """The records of one example, and everything that happens to them."""

    def __init__(self, house: House, lanes: int, focus: int | None = None) -> None:
        self.house = house
        self.lanes = [Lane(number, self, focus) for number in range(lanes)]
        self.heard: list[Claim] = []
        self.answered: list[Claim] = []
        self.answers = 0
        self._line = Line("sync")
        self._turnstile = Turnstile()
        self._lane_of = {record.id: lane for lane in self.lanes for record in lane.records}
        self._watches = {w.record.id: w for lane in self.lanes for w in lane.watches}
        self._runs = 0
        self.read_backs: dict[Committer, Callable[[Line], ReadBack]] = {
            committer: self._read_back_by(committer) for committer in house.committers
        }

    # What operations ask for

    def start(self, operation: Coroutine[Any, Any, None]) -> None:
        self._turnstile.start(operation)

    async def stop(self, line: Line, where: str) -> None:
        await self._turnstile.stop(line, where)

    def release(self, line: Line, which: int) -> None:
        line.tell("-> " + self._turnstile.release(line, which))

    def begin(self, process: int) -> tuple[Committer, int]:
        """A process's committer, and its clock for an exchange that begins now."""
        committer = self.house.committers[process]
        return committer, committer.clock()

    def late_start(self, committer: Committer, start: int) -> int:
        """The start of an exchange whose answer has come."""
        return start if self.house.habits.starts_before else committer.clock()

    async def take_in(
        self, line: Line, committer: Committer, start: int, found: Sequence[Reading]
    ) -> None:
        """Commits what the sync has read; overlaps are marked."""
        images = [record.image(version) for record, version in found]
        start = self.late_start(committer, start)
        applied = await committer.commit(self.house.commit(images, start, "sync"))
        line.tell(f"what the sync read from clock {start} on, {_told(found)}: {applied}")
        self.heard += [
            (record, version, VALUES if image.kind is ImageKind.REPLACE else ())
            for (record, version), image in zip(found, images, strict=True)
        ]
        if applied.overlaps and self.house.habits.marks_overlaps:
            await self.house.mark(applied.overlaps)

    async def look(self, done: Iterable[Reading], columns: tuple[str, ...]) -> None:
        """A SELECT at the moment of an answer sees the write or a later version (I2)."""
        for record, version in done:
            seen = Watch(record)
            seen.row = await self.house.row(record.style.collection.id, record.id)
            seen.unknown = {c for c in VALUES if seen.row and seen.row.shows(c) is None}
            seen.reach("I2 at the answer", version, columns)

    def _read_back_by(self, committer: Committer) -> Callable[[Line], ReadBack]:
        def for_line(line: Line) -> ReadBack:
            async def read(_: str, keys: Sequence[tuple[str, ...]]) -> list[Image]:
                await self.stop(line, "read back: asked for")
                records = [self._watches[key[0]].record for key in keys]
                images = [record.image(record.version) for record in records]
                await self.stop(line, "read back: answered")
                return images

            return ReadBack(self.house, committer, read)

        return for_line

    # Turns

    async def turn(self, choices: bytes) -> None:
        """One byte for the sync's own work, then one for each lane."""
        self._move_sync(choices[0])
        for lane, byte in zip(self.lanes, choices[1:], strict=False):
            lane.move(byte)
        await self._turnstile.settled()
        await self.check()

    def _move_sync(self, byte: int) -> None:
        """Each bit of the byte lets one operation go on; where there is none, one begins."""
        stopped = len(self._line.stopped)
        for bit in reversed(range(8)):
            if not byte >> bit & 1:
                continue
            if bit < stopped:
                self.release(self._line, bit)
            elif bit < 3:
                self.start(self._reread(_COLLECTIONS[bit % 2]))
            elif bit < 5:
                self.start(self._sweep(_COLLECTIONS[bit % 2], complete=False))

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
            lane = self._lane_of[record_id]
            story = "\n  ".join(lane.line.story)
            raise Violation(f"{violation}\n{lane.line.name}\n  {story}") from None

    async def finish(self) -> None:
        """Brings everything to its end and compares with upstream (I10, then I1)."""
        for lane in self.lanes:
            if lane.hurries:  # no late page makes up for what was lost
                self._turnstile.give_up(lane.line, "page")
        await self._drain()
        await self._reread_all()
        for record, version, columns in self.heard:
            self._judge(record.id, lambda w, v=version, c=columns: w.reach("I10", v, c))
        for record_id in self._watches:
            self._judge(record_id, Watch.is_complete)
        for name in _COLLECTIONS:
            self.start(self._sweep(name, complete=True))
        await self._drain()
        await self._reread_all()
        for record_id in self._watches:
            self._judge(record_id, Watch.equals_upstream)
        shown = {i: w.row for i, w in self._watches.items() if w.row is not None}
        if await self.house.rows() != shown:
            raise Violation("the audit trigger and the tables tell different rows")

    async def _drain(self) -> None:
        """Lets everything go on until nothing is under way."""
        lines = [self._line, *(lane.line for lane in self.lanes)]
        await self._turnstile.settled()
        while any(line.stopped for line in lines):
            for line in lines:
                if line.stopped:
                    self.release(line, 0)
            await self._turnstile.settled()
            await self.check()

    async def _reread_all(self) -> None:
        """Re-reads until nothing is marked."""
        for _ in range(_ROUNDS):
            marks = [await self.house.marked(name, 1) for name in _COLLECTIONS]
            if not any(marks):
                return
            for name in _COLLECTIONS:
                self.start(self._reread(name))
            await self._drain()
        raise Violation("I10: marks are never settled")

    async def abandon(self) -> None:
        """Ends the example wherever it is."""
        await self._turnstile.abandon()
        await self.house.clear()

    # The sync's own work

    async def _reread(self, collection: str) -> None:
        """Reads what is marked, and forgets the marks that were not made again."""
        line = self._line
        marks = await self.house.marked(collection, _MARKS_AT_ONCE)
        if not marks:
            return
        committer, start = self.begin(1)
        await self.stop(line, "re-read: asked for")
        found = [(r, r.version) for i, _ in marks for r in [self._watches[i].record]]
        self._tell(found, f"are read again, clock {start}")
        await self.stop(line, "re-read: answered")
        await self.take_in(line, committer, start, found)
        await self.stop(line, "re-read: committed")
        await self.house.settle(collection, marks)

    async def _sweep(self, collection: str, *, complete: bool) -> None:
        """Lists a collection; what it does not show is read, and so deleted."""
        self._runs += 1
        run, line = self._runs, self._line
        complete = complete or self.house.habits.lists_all
        thorough = complete or run % 2 == 1
        begun_by, begun = self.begin(1)
        records = [w.record for w in self._watches.values()]
        records = [r for r in records if r.style.collection.id == collection]
        seen: list[str] = []
        for part in range(_PAGES):
            committer, start = self.begin(run % 2)
            await self.stop(line, "sweep: page asked for")
            found = [(r, r.version) for r in records[part::_PAGES] if _lists(r, run, complete)]
            await self.stop(line, "sweep: page answered")
            if thorough:
                await self.take_in(line, committer, start, found)
            seen += [record.id for record, _ in found]
        missing = await self.house.missing(collection, begun, seen)
        if self.house.habits.confirms_sweeps:
            await self._confirm(missing)
        else:
            images = [Image(collection, (i,), ImageKind.DELETE) for i in missing]
            fence = begun if self.house.habits.fences_sweeps else begun_by.clock()
            commit = self.house.commit(images, fence, "sync")
            applied = await begun_by.commit(commit)
            await self.house.mark(applied.overlaps)

    async def _confirm(self, missing: Sequence[str]) -> None:
        committer, start = self.begin(1)
        await self.stop(self._line, "sweep: missing records asked for")
        found = [(r, r.version) for i in missing for r in [self._watches[i].record]]
        self._tell(found, f"are missing and read, clock {start}")
        await self.stop(self._line, "sweep: missing records answered")
        await self.take_in(self._line, committer, start, found)

    def _tell(self, found: Sequence[Reading], what: str) -> None:
        for record, version in found:
            self._lane_of[record.id].line.tell(f"{record.id} version {version}: {what}")


def _lists(record: Record, run: int, complete: bool) -> bool:
    """Whether a listing shows a record: not every API's shows all that there are."""
    if record.now.life is not Life.LIVE:
        return False
    return complete or zlib.crc32(f"{record.id} {run}".encode()) % 16 != 0


def _told(found: Sequence[Reading]) -> str:
    return ", ".join(f"{record.id} version {version}" for record, version in found[:2])

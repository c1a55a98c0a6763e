"""What happens to the records of one lane: writes, edits of others, pages, in any order.

A lane is two records and the operations that are under way on them; its schedule is a
string of bytes, one per turn. A byte lets one of the stopped operations go on or opens
another, so any order of sending, doing, answering and committing is some string, and a
string of zeros is one in which nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from providers.record import Dirty, Image, ImageKind
from tests.model.authority import STYLES, VALUES, Life, Record, Style
from tests.model.turnstile import Line
from tests.model.verdicts import Watch

if TYPE_CHECKING:
    from tests.model.stage import Stage

_MOST: Final = 4  # operations of a lane at a time
_LOOKED_AT: Final = 64  # of so many lanes one is SELECTed at the moment of each answer


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one record, and the columns that a partial answer names."""

    name: str
    do: Callable[[Record], bool]
    columns: tuple[str, ...] = ()
    ends: bool = False


_PATCH_A: Final = Edit("patch a", lambda r: r.write("a"), ("a",))
_PATCH_B: Final = Edit("patch b", lambda r: r.write("b"), ("b",))
_REVERT_A: Final = Edit("revert a", lambda r: r.revert("a"), ("a",))
_REVERT: Final = Edit("revert", Record.revert, VALUES)
_PATCHES: Final = (
    _PATCH_A,
    _PATCH_B,
    Edit("patch", Record.write, VALUES),
    _REVERT_A,
    _REVERT,
)
_CREATE: Final = Edit("create", Record.create, ("a",))
_DELETE: Final = Edit("delete", Record.delete, ends=True)
_PURGE: Final = Edit("purge", Record.purge, ends=True)
EDITS: Final = (*_PATCHES, _CREATE, _DELETE, _PURGE)
_SETS: Final = ((0,), (1,), (0, 1))


class Lane:
    """Two records, what their rows have shown, and the operations on them."""

    def __init__(self, number: int, stage: Stage, focus: int | None) -> None:
        """`focus`: what kind of lane it is, if its number is not to tell (`nature`)."""
        nature = number % KINDS if focus is None else focus
        kind, n = divmod(nature, len(STYLES))
        style = STYLES[n]
        second = Life.LIVE if kind else Life.GONE
        self.number, self.style = number, style
        self.line = Line(f"lane {number} ({style})")
        self.records = (
            Record(f"{number}.0", style, Life.LIVE, stage.chronicle),
            Record(f"{number}.1", style, second, stage.chronicle),
        )
        self.watches = [Watch(record) for record in self.records]
        self._nature, self._openings = nature, _OPENINGS[kind]
        self._stage = stage
        self._moves = bytearray()

    @property
    def hurries(self) -> bool:
        """Whether what the sync still reads at the end is given up."""
        return self.number % 2 == 0 or self._openings in (_TOLD, _RETURNING)

    @property
    def shape(self) -> bytes:
        """The schedule that was played; empty if nothing happened."""
        return bytes([self._nature, *self._moves]) if self._moves else b""

    def move(self, byte: int) -> None:
        """What the schedule's next byte says."""
        if not byte:
            return
        self._moves.append(byte)
        which, opens = divmod(byte - 1, 2)
        stopped = self.line.stopped
        if stopped and (not opens or len(stopped) >= _MOST):
            self._stage.release(self.line, which % len(stopped))
        else:
            other, opening = divmod(which, len(self._openings))
            self._openings[opening](self, other % 2 == 1)

    # Openings. `other`: the second process does it, and answers hold a later version.

    def write(self, edit: Edit, which: Sequence[int], other: bool) -> None:
        """A write through the gateway."""
        self._stage.start(self._write(edit, [self.records[n] for n in which], other))

    def edit(self, edit: Edit, which: int, _: bool) -> None:
        """A third party's change, which nothing tells us of."""
        record = self.records[which]
        if edit.do(record):
            self.line.tell(f"{record.id} {edit.name} by others: version {record.version}")

    def page(self, which: Sequence[int], halves: bool, other: bool) -> None:
        """A page of a listing: records that are there, each as it was at some moment."""
        self._stage.start(self._page([self.records[n] for n in which], halves, other))

    def read(self, which: Sequence[int], other: bool) -> None:
        """Records read by their ids: who is not there is gone."""
        self._stage.start(self._read([self.records[n] for n in which], other))

    # Operations

    async def _write(self, edit: Edit, records: Sequence[Record], other: bool) -> None:
        stage, line = self._stage, self.line
        process, began = stage.begin((self.number + other) % 2)
        what = f"{edit.name} of {' and '.join(record.id for record in records)}"
        line.tell(f"{what}: it is sent, clock {began.start}")
        await stage.stop(line, f"{what}: sent")
        done = [(record, record.version) for record in records if edit.do(record)]
        if not done:
            return
        if other:
            await stage.stop(line, f"{what}: done")
        columns = edit.columns if self.style.partial else None
        images = [
            _answer(record, version, edit, columns, late=other) for record, version in done
        ]
        await stage.stop(line, f"{what}: answered")
        start = stage.begun(process, began).start
        commit = stage.house.written(images, start, self._partly(images))
        applied = await process.committer.commit(commit)
        line.tell(f"{what}: refused are {[i.record_id for i in applied.overlaps]}")
        for image in images:
            stage.upstream.shown(image)
        if await stage.house.settled(process, stage.live, applied, commit.request_id):
            named = () if edit.ends else columns or VALUES
            stage.answered += [(record, version, named) for record, version in done]
            if self.number % _LOOKED_AT == 0:
                await stage.look(done, named)

    def _partly(self, images: Sequence[Image]) -> list[Dirty]:
        if not self._stage.house.habits.marks_partial:
            return []
        return [
            Dirty(image.collection, image.key, "its answer names only some fields")
            for image in images
            if image.kind is ImageKind.MERGE
        ]

    async def _page(self, records: Sequence[Record], halves: bool, other: bool) -> None:
        stage, line = self._stage, self.line
        process, began = stage.begin((self.number + other + 1) % 2)
        line.tell(f"page: it is asked for, clock {began.start}")
        await stage.stop(line, "page: asked for")
        images: list[Image] = []
        for record in records:
            if halves and record is not records[0]:
                await stage.stop(line, "page: half of it read")
            if record.now.life is Life.LIVE:
                images.append(record.image(record.version))
        await stage.stop(line, "page: answered")
        line.tell("page: " + await stage.take_in(process, images, began))

    async def _read(self, records: Sequence[Record], other: bool) -> None:
        stage, line = self._stage, self.line
        process, began = stage.begin((self.number + other + 1) % 2)
        line.tell(f"page of ids {[r.id for r in records]}: asked for, clock {began.start}")
        await stage.stop(line, "page of ids: asked for")
        images = [record.image(record.version) for record in records]
        await stage.stop(line, "page of ids: answered")
        line.tell("page of ids: " + await stage.take_in(process, images, began))


def _answer(
    record: Record, version: int, edit: Edit, columns: tuple[str, ...] | None, *, late: bool
) -> Image:
    """What the answer of a write says: the record as the write made it, or as it is a
    little later."""
    if edit.ends:  # an empty answer: what is known is what was asked for
        return record.ending(version)
    if late and record.now.life is Life.LIVE:
        version = record.version
    return record.image(version, columns)


Opening = Callable[[Lane, bool], None]


def _write(edit: Edit, *which: int) -> Opening:
    return lambda lane, other: lane.write(edit, which, other)


def _edit(edit: Edit, which: int) -> Opening:
    return lambda lane, other: lane.edit(edit, which, other)


def _page(*which: int, halves: bool = False) -> Opening:
    return lambda lane, other: lane.page(which, halves, other)


def _read(*which: int) -> Opening:
    return lambda lane, other: lane.read(which, other)


def _rest(lane: Lane, other: bool) -> None:
    """Nothing begins: what was done a while ago is not done again at once."""


_ALL: Final = (
    *(_write(edit, *which) for which in _SETS for edit in EDITS),
    *(_edit(edit, which) for which in (0, 1) for edit in EDITS),
    *(_page(0, 1, halves=halves) for halves in (False, True) for _ in range(4)),
    *(_read(*which) for which in _SETS for _ in range(2)),
)
# Many writers of one record; values that come back; a record that comes and goes; one that
# others write; one that others delete and bring back.
_BUSY: Final = (
    *(_write(edit, 0) for edit in _PATCHES),
    *(_edit(edit, 0) for edit in (_PATCH_A, _PATCH_B, _REVERT)),
    _page(0),
    _read(0),
)
_FLIPPING: Final = (
    *(_write(edit, 0) for edit in (_REVERT_A, _PATCH_A, _REVERT_A, _PATCH_B)),
    *(_edit(edit, 0) for edit in (_REVERT_A, _PATCH_B)),
    _page(0),
    _read(0),
)
_FLEETING: Final = (
    *(_write(edit, 0) for edit in (_PATCH_A, _CREATE, _DELETE, _PURGE)),
    *(_edit(edit, 0) for edit in (_PATCH_B, _CREATE, _DELETE)),
    _page(0),
    _read(0),
)
_TOLD: Final = (_edit(_PATCH_A, 0), _edit(_REVERT, 0), _rest, _rest, _rest, _rest)
_RETURNING: Final = (_edit(_DELETE, 0), _edit(_CREATE, 0), _read(0))
_OPENINGS: Final = (_ALL, _BUSY, _FLIPPING, _FLEETING, _TOLD, _RETURNING)
KINDS: Final = len(_OPENINGS) * len(STYLES)
BUSY: Final = 1
FLIPPING: Final = 2
FLEETING: Final = 3
TOLD: Final = 4
RETURNING: Final = 5


def nature(style: Style, kind: int) -> int:
    """The number of a kind of lane: not everything happens everywhere, so that what meets
    seldom meets often somewhere."""
    return kind * len(STYLES) + STYLES.index(style)

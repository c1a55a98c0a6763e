"""What waits to be committed, and which of it goes together. Pure.

    Commit    what one answer said, and when its exchange began
    Pending   a commit in the queue
    Queue     takes commits in, hands out batches
    Step      one statement on one table, with its rows

A batch holds each record once: an image takes the place of what was before it, and the
guard judges each against the row that is there. Two answers about one record go one
after the other, in the order in which they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from httpproxy.store.layouts.tables import (
    GONE,
    Row,
    SyncTables,
    Table,
    folded,
    is_deleted,
    row_of,
)
from providers.http import Response
from providers.record import JSON, Change, Dirty, Image, ImageKind

MAX_ROWS: Final = 1000  # of a batch: about 20 ms of Postgres' time

_OUTDATED: Final = "it was read by an older layout of its table"
SUSPECT: Final = 3  # lost connections until a commit goes alone

Place = tuple[int, str]  # a collection's number and a record id


@dataclass(frozen=True, slots=True)
class Commit:
    """What an exchange's answer said.

    `start` is `Committer.clock()` from before its first byte left, and `read_at` that
    moment in seconds since 1970, None if nobody noted it: the row is then taken to have
    been read two minutes before the commit. `origin` is "proxy", "sync", …

    `intent` ends in the same transaction, unless an image overlaps: whoever reads it again
    commits with the same intent. `answer` is kept then for the key that the intent claimed.
    """

    tables: SyncTables
    change: Change
    start: int
    sync_id: str
    origin: str
    request_id: str
    read_at: float | None = None
    intent: int | None = None
    answer: Response | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a commit.

    rows      images that the database has, or that it had a newer version of
    overlaps  images that came while another image of their record was committed, and
              that nothing could order: the caller reads these records again
    token     a position in the database's log (LSN): a replica that has come so far has
              this commit. "" if nothing was written
    """

    rows: int
    overlaps: tuple[Image, ...] = ()
    token: str = field(default="", compare=False)


@dataclass(slots=True, eq=False)
class Pending:
    """A commit that waits. `settle` tells whoever still waits for it."""

    commit: Commit
    images: tuple[Image, ...]
    settle: Callable[[Applied | Exception], bool]
    places: frozenset[Place] = field(init=False)
    by_match: bool = field(init=False)
    careful: bool = False  # encode its values with care
    refused: Exception | None = None  # what is told in place of `Applied`
    losses: int = 0  # how often the connection was lost over it

    def __post_init__(self) -> None:
        self.place_again()

    def place_again(self) -> None:
        """Takes note of the records it is about; called when `images` change."""
        tables = self.commit.tables.tables
        self.places = frozenset((tables[i.collection].number, i.record_id) for i in self.images)
        self.by_match = any(image.match is not None for image in self.images)

    @property
    def numbers(self) -> set[int]:
        """The collections it writes to."""
        return {number for number, _ in self.places}

    @property
    def goes_alone(self) -> bool:
        """Whether it may not share a batch: it looks something up, or is suspect."""
        return self.by_match or self.losses >= SUSPECT


def pending(commit: Commit, settle: Callable[[Applied | Exception], bool]) -> Pending:
    """A commit as it enters the queue. Raises LookupError for an unknown collection."""
    images = commit.change.images
    for image in images:
        if image.collection not in commit.tables.tables:
            raise LookupError(f"the sync has no collection {image.collection!r}")
    if len(images) > 1:
        images = folded(images)
    return Pending(commit, images, settle)


class Queue:
    """First come, first served, record by record."""

    def __init__(self) -> None:
        self._waiting: deque[Pending] = deque()
        self._held: dict[int, float] = {}
        self.images = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Pending) -> None:
        self._waiting.append(item)
        self.images += len(item.images)

    def put_back(self, items: Iterable[Pending]) -> None:
        """Items of a batch that was not committed, to the front."""
        returned = list(items)
        self._waiting.extendleft(reversed(returned))
        self.images += sum(len(item.images) for item in returned)

    def drain(self) -> list[Pending]:
        """Everything that waits."""
        everything, self._waiting, self.images = list(self._waiting), deque(), 0
        return everything

    def hold(self, item: Pending, until: float) -> None:
        """Keeps back what writes to the item's tables: one of them is locked."""
        self._held.update(dict.fromkeys(item.numbers, until))

    def is_held(self, item: Pending, now: float) -> bool:
        """Whether a table of the item's is locked. Times are monotonic seconds."""
        held = self._held
        return bool(held) and any(held.get(number, now) > now for number in item.numbers)

    def next_due(self) -> float:
        """When the first of the locked tables is tried again."""
        return min(self._held.values(), default=0.0)

    def take(self, now: float) -> list[Pending]:
        """The next batch; empty if nothing is due.

        A commit that names records only by a value has to look their keys up first and
        goes alone, after all that came before it. So does one over which the connection
        was lost several times: it may be what breaks it.
        """
        batch: list[Pending] = []
        left: list[Pending] = []
        named: set[Place] = set()
        rows = 0
        self._held = {n: until for n, until in self._held.items() if until > now}
        while self._waiting and rows < MAX_ROWS:
            item = self._waiting.popleft()
            if not named.isdisjoint(item.places) or self.is_held(item, now):
                left.append(item)
            elif item.goes_alone:
                if batch:
                    self._waiting.appendleft(item)
                else:
                    batch.append(item)
                break
            else:
                batch.append(item)
                rows += len(item.images)
            named |= item.places
        self._waiting.extendleft(reversed(left))
        self.images -= sum(len(item.images) for item in batch)
        return batch


@dataclass(slots=True)
class Step:
    """Rows for one statement ("upsert", "delete", "archive", "judge") on a table."""

    table: Table
    statement: str
    rows: list[Row] = field(default_factory=list)


Layouts = Callable[[Table], Table]  # a table as it is now


def mark(
    number: int, key: tuple[str, ...] | None, why: str, updated_at: str | None = None
) -> Row:
    """A row of the mark statement: a record, or without a key a collection."""
    record = ":".join(key or ())
    return {
        "c": number,
        "r": record,
        "k": list(key) if key else None,
        "w": why,
        "u": updated_at,
    }


def mark_rows(marks: Iterable[tuple[int, Dirty]]) -> list[Row]:
    """Rows of the mark statement, one per record, of marks with their collections' numbers.

    The last reason counts. A version counts only if all marks of a record tell the same:
    a mark without one is to be answered whatever the row holds.
    """
    found: dict[Place, Row] = {}
    for number, dirty in marks:
        row = mark(number, dirty.key, dirty.reason, dirty.updated_at)
        place = (number, str(row["r"]))
        if found.get(place, row)["u"] != row["u"]:
            row["u"] = None
        found[place] = row
    return list(found.values())


def marks(items: Iterable[Pending], layouts: Layouts) -> list[Row]:
    """What the answers leave open."""
    return mark_rows(
        mark for item in items for mark in (*_left_open(item), *_outdated(item, layouts))
    )


def _left_open(item: Pending) -> Iterator[tuple[int, Dirty]]:
    tables = item.commit.tables.tables
    for dirty in item.commit.change.dirty:
        if dirty.collection in tables:
            yield tables[dirty.collection].number, dirty


def _outdated(item: Pending, layouts: Layouts) -> Iterator[tuple[int, Dirty]]:
    """Images that were read before their table followed its collection: two fields may
    have swapped their names in between. What the sync reads has ids for names, and is
    read again as a whole (`steps.record`)."""
    if item.commit.origin == "sync":
        return
    tables = item.commit.tables.tables
    for image in item.images:
        table = tables[image.collection]
        if layouts(table).version != table.version and image.kind not in GONE:
            yield table.number, Dirty(image.collection, image.key, _OUTDATED)


def guard_rows(items: Iterable[Pending]) -> list[Row]:
    """The rows of the guard statement."""
    return [
        {
            "c": item.commit.tables.tables[image.collection].number,
            "r": image.record_id,
            "s": item.commit.start,
            "u": image.updated_at,
            "f": image.kind is not ImageKind.MERGE,
            "d": is_deleted(image),
            "t": item.commit.read_at,
            "i": item.commit.intent,
        }
        for item in items
        for image in item.images
    ]


def ending(items: Iterable[Pending]) -> list[int]:
    """Intents that no image stands for."""
    return [
        item.commit.intent
        for item in items
        if item.commit.intent is not None and not item.images
    ]


def answers(items: Iterable[Pending]) -> list[tuple[int, Response]]:
    """What is told for the keys of intents."""
    return [
        (item.commit.intent, item.commit.answer)
        for item in items
        if item.commit.intent is not None and item.commit.answer is not None
    ]


def steps(items: Iterable[Pending], layouts: Layouts) -> list[Step]:
    """What is written to which table."""
    found: dict[tuple[int, str], Step] = {}
    for item in items:
        origin: Mapping[str, JSON] = {
            "o": item.commit.origin,
            "q": item.commit.request_id,
        }
        for image, table in _with_tables(item, layouts):
            statement = _statement(image, table)
            step = found.get((table.number, statement))
            if step is None:
                step = found[table.number, statement] = Step(table, statement)
            row = _described(image, table, item)
            row.update(origin)
            row["a"] = image.data
            step.rows.append(row)
    return list(found.values())


def judgements(items: Iterable[Pending], refused: set[Place], layouts: Layouts) -> list[Step]:
    """The refused images as `judge` takes them."""
    found: dict[int, Step] = {}
    for item in items:
        for image, table in _with_tables(item, layouts):
            if (table.number, image.record_id) in refused:
                row = _described(image, table, item)
                row["d"] = is_deleted(image)
                row["f"] = image.kind is not ImageKind.MERGE
                row["e"] = _statement(image, table) == "delete"
                step = found.setdefault(table.number, Step(table, "judge"))
                step.rows.append(row)
    return list(found.values())


def _with_tables(item: Pending, layouts: Layouts) -> Iterator[tuple[Image, Table]]:
    tables = item.commit.tables.tables
    for image in item.images:
        table = layouts(tables[image.collection])
        yield table.selected(image), table


def _described(image: Image, table: Table, item: Pending) -> Row:
    row = row_of(table, image, sorted_out=item.careful)
    row["r"] = image.record_id
    row["u"] = image.updated_at
    return row


def _statement(image: Image, table: Table) -> str:
    if image.kind is ImageKind.DELETE:
        return "delete"
    if image.kind is ImageKind.ARCHIVE:
        return "delete" if table.archived_column is None else "archive"
    return "upsert"

"""The guards of the interval rule, each with what taking it away looks like.

A guard is a piece of SQL (`commit.sql`, `tables.sql`), a line of the commit, or a habit of
the gateway and the sync. `without` takes one away for the length of a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import pytest

from httpproxy.exchange.settling.overlaps import Settlement
from httpproxy.store.commits import writer
from httpproxy.store.commits.commit import Applied, Committer
from httpproxy.store.layouts import statements
from httpproxy.store.sync import marks
from httpproxy.sync.reading import Reading
from httpproxy.sync.rereading import Rereading
from httpproxy.upstream.lane import Priority
from providers.record import Image, ImageKind
from tests.model import house
from tests.model.authority import Stamps, Style
from tests.model.house import Habits
from tests.model.schedules import BUSY, FLEETING, FLIPPING, RETURNING, TOLD, nature

Patch = Callable[[pytest.MonkeyPatch], None]
_LET_THROUGH: Final = "m.end_seq = currval('httpproxy.clock')"


def _sql(name: str, guard: str, instead: str) -> Patch:
    """Takes a piece out of a statement of commit.sql, tables.sql or sync.sql."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        places: list[Any] = [writer.SQL, statements._TEMPLATES, marks.SQL]
        known = next(place for place in places if name in place)
        text = known[name].decode() if known is writer.SQL else known[name]
        assert text.count(guard) == 1, f"{name} does not hold this guard once"
        changed = text.replace(guard, instead)
        monkeypatch.setitem(known, name, changed.encode() if known is writer.SQL else changed)
        if name == "mark":
            monkeypatch.setattr(marks, "_MARK", changed.encode())

    return patch


def _clock_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Committer, "clock", lambda self: self._clock + 50)


def _no_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_back(*_: Any) -> Applied:
        return Applied(0)

    monkeypatch.setattr(Settlement, "read_back", read_back)


def _no_marks_of_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Reading.take_in

    async def take_in(*arguments: Any) -> list[Any]:
        await real(*arguments)
        return []

    monkeypatch.setattr(Reading, "take_in", take_in)


def _refused_again_unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mark_dirty(*_: Any) -> None:
        return None

    def without(reading: Any, progress: Any, _: Any, troubles: Any) -> Rereading:
        return Rereading(reading, progress, SimpleNamespace(mark_dirty=mark_dirty), troubles)

    monkeypatch.setattr(house, "Rereading", without)


def _deleted_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a listing lacks is gone, without another look."""
    real = Reading.look

    async def look(*arguments: Any) -> Any:
        _, _, table, keys, priority = arguments
        if priority is not Priority.BACKFILL:
            return await real(*arguments)
        told: Any = {"version": 0, "columns": []}
        gone = ImageKind.DELETE
        return tuple(Image(table.collection.id, key, gone, data=told) for key in keys)

    monkeypatch.setattr(Reading, "look", look)


def _unfenced(monkeypatch: pytest.MonkeyPatch) -> None:
    _deleted_unread(monkeypatch)
    _sql("missing_keys", "AND m.end_seq <= %(start)s", "")(monkeypatch)


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard. `patch` takes it out of the product, `habits` out of what surrounds it;
    `focus` is the kind of lane where it is needed most."""

    name: str
    patch: Patch | None = None
    habits: Habits = field(default_factory=Habits)
    focus: int | None = None


_NO_VERSIONS: Final = Style(Stamps.NONE)
_COARSE: Final = Style(Stamps.COARSE)
_SPOTTY: Final = Style(Stamps.SPOTTY)
_PARTS: Final = Style(Stamps.UNIQUE, partial=True, archives=True)
_ARCHIVES: Final = Style(Stamps.UNIQUE, archives=True)
_OVERLAP: Final = "ELSE 'overlap'"

GUARDS: Final = (
    # Who may pass
    Guard(
        "an image begins after the last one has ended",
        _sql("guard", "m.end_seq <= excluded.start_seq", "true"),
    ),
    Guard(
        "an equal version is not a newer one",
        _sql(
            "guard", "excluded.updated_at > m.updated_at", "excluded.updated_at >= m.updated_at"
        ),
    ),
    Guard(
        "a version does not revive",
        _sql("guard", "NOT m.deleted AND ", ""),
        focus=nature(_ARCHIVES, FLEETING),
    ),
    Guard(
        "a version does not archive",
        _sql("guard", "NOT excluded.deleted AND ", ""),
        focus=nature(_ARCHIVES, FLEETING),
    ),
    # What is written
    Guard("a refused image is not written", _sql("upsert", _LET_THROUGH, "true")),
    Guard("a refused deletion is not done", _sql("delete", _LET_THROUGH, "true")),
    Guard("a refused archiving is not done", _sql("archive", _LET_THROUGH, "true")),
    Guard(
        "a deletion leaves a tombstone",
        _sql(
            "delete",
            ")\nINSERT INTO",
            "), _forgotten AS (DELETE FROM httpproxy.meta m USING _given g"
            " WHERE m.collection = {number} AND m.record_id = g.r)\nINSERT INTO",
        ),
    ),
    Guard(
        "columns that a part does not name stay",
        _sql("upsert", "CASE WHEN g.f THEN NULL::{table} ELSE t._row END", "NULL::{table}"),
    ),
    # What the refused images are taken for
    Guard(
        "content told again moves the end on",
        _sql(
            "judge", "greatest(m.end_seq, $2::bigint)", "greatest(m.end_seq, $2::bigint - $2)"
        ),
        focus=nature(_NO_VERSIONS, FLIPPING),
    ),
    Guard(
        "content told again without a version has none",
        _sql("judge", "CASE WHEN j.u <= m.updated_at THEN m.updated_at END", "m.updated_at"),
        focus=nature(_SPOTTY, BUSY),
    ),
    Guard("an equal version is not an older one", _sql("judge", "g.u < m.up", "g.u <= m.up")),
    Guard(
        "nothing is older than a row of parts",
        _sql("judge", "WHEN NOT m.partial AND NOT", "WHEN NOT"),
        focus=nature(_PARTS, BUSY),
    ),
    Guard(
        "nothing is older than a tombstone",
        _sql("judge", "NOT m.deleted AND ", ""),
        focus=nature(_ARCHIVES, FLEETING),
    ),
    Guard(
        "a tombstone is not older than a row",
        _sql("judge", "NOT g.d AND ", ""),
        focus=nature(_ARCHIVES, FLEETING),
    ),
    Guard(
        "a tombstone is not enough while there is a row",
        _sql("judge", " AND (t._found IS NULL OR NOT g.e)", ""),
        focus=nature(_PARTS, FLEETING),
    ),
    Guard(
        "what nobody can order is not taken for done", _sql("judge", _OVERLAP, "ELSE 'same'")
    ),
    Guard("what nobody can order is not history", _sql("judge", _OVERLAP, "ELSE 'older'")),
    # What surrounds a commit
    Guard("the clock is not ahead of what was committed", _clock_ahead),
    Guard("a call's clock is read before it leaves", habits=Habits(starts_before=False)),
    Guard("a proxied write's overlap is read back", _no_read_back),
    Guard("the sync's overlap is marked", _no_marks_of_overlaps),
    Guard(
        "a partial answer is marked",
        habits=Habits(marks_partial=False),
        focus=nature(_PARTS, FLEETING),
    ),
    Guard(
        "a mark that was made again stays",
        _sql("settle_marks", "AND d.mark = ANY(%(marks)s)", ""),
        focus=nature(_NO_VERSIONS, TOLD),
    ),
    Guard(
        "what is refused again is marked again",
        _refused_again_unmarked,
        focus=nature(_NO_VERSIONS, TOLD),
    ),
    # Which marks need not be made
    Guard(
        "what was read soon after its version may be older",
        _sql("mark", "AND m.read_at > g.u + interval '2 seconds'", ""),
        focus=nature(_COARSE, TOLD),
    ),
    Guard(
        "a tombstone does not have the version that it was told with",
        _sql("mark", "AND NOT m.deleted\n", "\n"),
        focus=nature(_ARCHIVES, RETURNING),
    ),
    # What a listing does not show
    Guard("a missing record is read before it is deleted", _deleted_unread),
    Guard(
        "where missing records are not read, what was committed later is kept",
        _unfenced,
        Habits(lists_all=True),
    ),
)

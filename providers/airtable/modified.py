"""Changes by the time of last modification, where no webhook may be had.

In a round every table is asked for the records that were modified since its last round.
That finds new records and edits of editable fields; deletions, and computed fields that
changed for another record's sake, are for the sweep. Times are compared by Airtable in
seconds and by its own clock, hence the overlap: a record told twice does no harm.

A call takes a bounded number of pages, and where it stopped is in the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from providers.airtable.calls import parsed_moment
from providers.airtable.listing import change_of, has_expired, list_records
from providers.http import answered_at
from providers.record import Change, Collection, merged
from providers.spec import Conversation, Refused

OVERLAP: Final = 120.0
PAGES: Final = 10

# Refusals that hold for every table alike.
_FOR_ALL: Final = (401, 429)


@dataclass(frozen=True, slots=True)
class Round:
    """How far the tables have been asked.

    since    table id -> up to when its changes are known; epoch seconds
    todo     the tables that this round has still to ask, in order; empty between rounds
    began    when the first page of todo[0] was asked for; once it has come, by Airtable's
             clock if ours is ahead
    offset   where todo[0] goes on, None for its beginning
    """

    since: Mapping[str, float]
    todo: tuple[str, ...] = ()
    began: float = 0.0
    offset: str | None = None


@dataclass(slots=True)
class Found:
    """What a step of a round found, and what Airtable refused by table."""

    round: Round
    changes: list[Change] = field(default_factory=list)
    refused: dict[str, Refused] = field(default_factory=dict)

    @property
    def change(self) -> Change:
        return merged(self.changes)


def go_on(
    tables: Sequence[Collection], known: Round, heard: float, now: float
) -> Conversation[Found]:
    """A step of the round: up to ten pages. A table that is new to it is asked since `heard`.

    Raises Refused for what concerns all tables.
    """
    by_id = {table.id: table for table in tables}
    left = _entered(known, tuple(by_id), heard, now)
    found = Found(left)
    for _ in range(PAGES):
        if not found.round.todo:
            break
        yield from _ask(by_id[found.round.todo[0]], found, now)
    return found


def _entered(known: Round, tables: tuple[str, ...], heard: float, now: float) -> Round:
    """The round as it stands for these tables; a new one if the last has ended."""
    since = {table: known.since.get(table, heard) for table in tables}
    todo = tuple(table for table in known.todo if table in since)
    if not todo:
        return Round(since, tables, now)
    if todo[0] != known.todo[0]:
        return Round(since, todo, now)
    return replace(known, since=since, todo=todo)


def _ask(table: Collection, found: Found, now: float) -> Conversation[None]:
    """One page of the table whose turn it is."""
    left = found.round
    try:
        listed = yield from list_records(table, _since(left.since[table.id]), left.offset)
    except Refused as refusal:
        if refusal.response.status in _FOR_ALL:
            raise
        if left.offset is not None and has_expired(refusal):
            found.round = replace(left, began=now, offset=None)
            return
        found.refused[table.id] = refusal
        found.round = Round(left.since, left.todo[1:], now)
        return
    found.changes.append(change_of(table, listed.records))
    if left.offset is None:
        left = replace(left, began=answered_at(listed.response, left.began))
    if listed.offset is not None:
        found.round = replace(left, offset=listed.offset)
    else:
        found.round = Round({**left.since, table.id: left.began}, left.todo[1:], now)


def _since(moment: float) -> str:
    """The formula for what was modified since a time, less the overlap."""
    return f"IS_AFTER(LAST_MODIFIED_TIME(),{parsed_moment(moment - OVERLAP)})"

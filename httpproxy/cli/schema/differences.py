"""The differences between an API's schema and the tables, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final

from httpproxy.management.schema import SchemaComparison
from httpproxy.store.layouts.drift import Difference, Stage, What

# + comes, ~ changes, ! waits, - is gone, = stays
_SIGNS: Final[Mapping[What, str]] = {
    What.NEW_TABLE: "+",
    What.TABLE_GONE: "-",
    What.TABLE_BACK: "+",
    What.TABLE_RENAMED: "=",
    What.NEW_COLUMN: "+",
    What.COLUMN_RENAMED: "~",
    What.NAME_LOCKED: "=",
    What.COLUMN_WIDER: "~",
    What.COLUMN_RETYPED: "~",
    What.FIELD_GONE: "-",
    What.FIELD_BACK: "+",
    What.TABLE_FULL: "=",
    What.DESELECTED: "=",
}
_WIDTH: Final = 24


def as_text(comparison: SchemaComparison) -> Iterator[str]:
    """The differences, table by table, and what to do about them: line by line."""
    by_table = sorted(comparison.differences, key=lambda each: each.location.table)
    for table, group in groupby(by_table, key=lambda each: each.location.table):
        yield _clean(f"{comparison.sync.schema_name}.{table}")
        for each in group:
            sign = "!" if each.stage is Stage.WAITING else _SIGNS[each.what]
            yield _clean(f"  {sign} {(each.location.column or ''):{_WIDTH}} {_said(each)}")
            if each.counts is not None:
                yield f"    {'':{_WIDTH}} {_counted(each)}"
        yield ""
    for name, no in comparison.discovered.refused.items():
        yield _clean(f"the API refuses to describe {name}: {no}")
    if comparison.discovered.uncovered:
        names = ", ".join(comparison.discovered.uncovered)
        yield _clean(f"not synced: {names}")
        yield f"  -> `httpproxy schema apply {comparison.sync.name} --add NAME` adds one"
    yield from _verdict(comparison)


def _verdict(comparison: SchemaComparison) -> Iterator[str]:
    name = comparison.sync.name
    automatic, waiting = comparison.at(Stage.AUTOMATIC), comparison.at(Stage.WAITING)
    if not comparison.open:
        yield f"{name}: the tables are as the API has them"
        return
    if automatic:
        yield f"{_many(len(automatic), 'change')} at the next discovery, unasked"
    ready = [each for each in waiting if not each.dependents]
    if ready:
        yield f"{_many(len(ready), 'type')} for your word (!)"
        column = f"{ready[0].location.table}.{ready[0].location.column}"
        yield f"  -> `httpproxy schema apply {name} --column {column}`, or without --column all"
    if len(waiting) > len(ready):
        shown = _many(len(waiting) - len(ready), "type")
        yield f"{shown} for the views that show it (!): drop them, apply, make them again"


def _many(count: int, what: str) -> str:
    verb = {"change": ("follows", "follow"), "type": ("waits", "wait")}[what]
    return f"{count} {what}{'' if count == 1 else 's'} {verb[count != 1]}"


def _said(each: Difference) -> str:
    change = f"{each.was} -> {each.becomes}" if each.was and each.becomes else ""
    named = f' "{each.named}"' if each.named and each.named != each.location.column else ""
    parts = {
        What.NEW_COLUMN: f"{each.becomes}, of the new field{named}",
        What.COLUMN_RENAMED: f"{change}: the field is{named} now",
        What.NAME_LOCKED: f"keeps its name, which is locked; the field is{named} now",
        What.FIELD_GONE: f"{each.was}, the field{named} is gone: {each.reason}",
        What.FIELD_BACK: f"the field{named} is back",
        What.TABLE_FULL: f"the field{named} has no column: {each.reason}",
        What.DESELECTED: f"the field{named} has no column: {each.reason}",
        What.TABLE_RENAMED: f'the collection is "{each.becomes}" now: {each.reason}',
        What.NEW_TABLE: "a new collection: it gets a table",
        What.TABLE_BACK: "the collection is back: its table is synced again",
        What.TABLE_GONE: f"the collection is gone: {each.reason}",
    }
    return parts.get(each.what) or f"{change}: {each.reason}"


def _counted(each: Difference) -> str:
    counts = each.counts
    if counts is None:
        return ""
    said = f"{counts.unfit} of {counts.held} values do not fit"
    return f"{said}; {counts.beside} newer in _extra" if counts.beside else said


def _clean(text: str) -> str:
    """Names are the API's users' making: none may steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)

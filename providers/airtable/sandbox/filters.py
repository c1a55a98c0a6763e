"""Which records a listing is about: those for which its formula holds.

A formula is asked row by row, but for those that a sync sends all day: records by their
ids, and records modified or created since a time. Their rows are looked up, so that a
table of many thousands answers as fast as a small one.
"""

from __future__ import annotations

import re
from math import inf
from typing import Final

from providers.airtable.sandbox.errors import bad_formula
from providers.airtable.sandbox.formula import Formula, FormulaError, compiled, holds
from providers.airtable.sandbox.functions import CellError, Moment
from providers.airtable.sandbox.shown import Seat, View
from providers.airtable.sandbox.state import RecordState, TableState

_TEXT: Final = r"""(?:'[^'\\]*'|"[^"\\]*")"""
_NAMED: Final = rf"RECORD_ID\(\)\s*=\s*{_TEXT}"
_BY_ID: Final = re.compile(
    rf"\s*(?:{_NAMED}|OR\(\s*{_NAMED}(?:\s*,\s*{_NAMED})*\s*\))\s*", re.IGNORECASE
)
_QUOTED: Final = re.compile(_TEXT)
_SINCE: Final = re.compile(
    rf"\s*IS_AFTER\(\s*(LAST_MODIFIED|CREATED)_TIME\(\)\s*,"
    rf"\s*(DATETIME_PARSE\(\s*{_TEXT}(?:\s*,\s*{_TEXT})?\s*\))\s*\)\s*",
    re.IGNORECASE,
)


def matching(table: TableState, view: View, text: str) -> list[RecordState]:
    """The records for which the formula holds, "" for all, in the table's order.

    Raises Refusal for what is no formula, or names a field that is not there.
    """
    if not text:
        return list(table.records.values())
    if _BY_ID.fullmatch(text):
        named = {quoted[1:-1] for quoted in _QUOTED.findall(text)}
        found = [table.records[i] for i in named if i in table.records]
        return sorted(found, key=lambda record: record.number)
    formula = _formula(table, text)
    since = _SINCE.fullmatch(text)
    if since is not None:
        created = since[1].upper() == "CREATED"
        at = _fixed(table, view, compiled(since[2]))
        return [r for r in _records(table) if (r.created if created else r.modified) > at]
    return [r for r in table.records.values() if holds(formula, Seat(view, table, r))]


def _formula(table: TableState, text: str) -> Formula:
    try:
        formula = compiled(text)
    except FormulaError as error:
        raise bad_formula(str(error)) from error
    unknown = sorted(name for name in formula.fields if table.find_field(name) is None)
    if unknown:
        raise bad_formula(f"Unknown field names: {', '.join(unknown)}")
    return formula


def _records(table: TableState) -> list[RecordState]:
    return list(table.records.values())


def _fixed(table: TableState, view: View, moment: Formula) -> float:
    """A time that no row has a part in; what is none is after every time."""
    row = next(iter(table.records.values()), None)
    try:
        at = None if row is None else moment.evaluate(Seat(view, table, row))
    except CellError:
        return inf
    return at.at if isinstance(at, Moment) else inf

"""Listing records: options, formula, sort, pages.

A listing is fixed when its first page is asked for; `offset` names it and the record
with which the next page begins. One that nobody has asked for in a while is forgotten,
and then its offset is refused; so is every offset after a restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from providers.airtable.sandbox.call import Call, Iteration
from providers.airtable.sandbox.errors import invalid, no_iterator, refusal, unknown_field
from providers.airtable.sandbox.filters import matching
from providers.airtable.sandbox.records import view_of
from providers.airtable.sandbox.shown import View, as_string
from providers.airtable.sandbox.state import FieldState, RecordState, TableState
from providers.record import JSON

PAGE: Final = 100

_LISTS: Final = frozenset({"fields", "recordMetadata"})
_SORT: Final = re.compile(r"sort\[(\d{1,3})\]\[(field|direction)\]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """What a listing was asked for; `order` is (field, descending)."""

    page_size: int
    max_records: int | None
    offset: str
    formula: str
    order: tuple[tuple[FieldState, bool], ...]
    only: frozenset[str] | None
    by_id: bool
    strings: bool
    comment_count: bool


def by_query(call: Call) -> JSON:
    """GET: the options are in the query."""
    return _page(call, _options(call, _from_query(call.request.query)))


def by_body(call: Call) -> JSON:
    """POST …/listRecords: the options are in the body, or in the query."""
    asked = call.body if isinstance(call.body, dict) else {}
    return _page(call, _options(call, {**_from_query(call.request.query), **asked}))


def _from_query(pairs: Sequence[tuple[str, str]]) -> dict[str, JSON]:
    """Query pairs as the JSON form of the same options."""
    found: dict[str, JSON] = {}
    lists: dict[str, list[JSON]] = {}
    order: dict[int, dict[str, JSON]] = {}
    for name, value in pairs:
        plain = name.partition("[")[0]
        sort = _SORT.fullmatch(name)
        if sort is not None:
            order.setdefault(int(sort[1]), {})[sort[2]] = value
        elif plain in _LISTS:
            lists.setdefault(plain, []).append(value)
        else:
            found[name] = value
    if order:
        found["sort"] = [order[index] for index in sorted(order)]
    return {**found, **lists}


def _options(call: Call, asked: Mapping[str, JSON]) -> Options:
    strings = asked.get("cellFormat") == "string"
    if asked.get("cellFormat") not in (None, "json", "string"):
        raise invalid()
    if strings and not (asked.get("timeZone") and asked.get("userLocale")):
        raise invalid("timeZone and userLocale are required for cellFormat string")
    _check_view(call.table, asked.get("view"))
    only = asked.get("fields")
    metadata = asked.get("recordMetadata")
    return Options(
        page_size=_whole(asked.get("pageSize"), PAGE, PAGE),
        max_records=_whole(asked.get("maxRecords"), 0, 10**9) or None,
        offset=_text(asked.get("offset")),
        formula=_text(asked.get("filterByFormula")),
        order=_order(call.table, asked.get("sort")),
        only=frozenset(_known(call.table, name).id for name in only)
        if isinstance(only, list)
        else None,
        by_id=asked.get("returnFieldsByFieldId") in (True, "true", "1"),
        strings=strings,
        comment_count=isinstance(metadata, list) and "commentCount" in metadata,
    )


def _text(value: JSON) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise invalid()


def _whole(value: JSON, default: int, most: int) -> int:
    if value is None or value == "":
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
        return value
    raise invalid()


def _known(table: TableState, name: JSON) -> FieldState:
    found = table.find_field(name) if isinstance(name, str) else None
    if found is None:
        raise unknown_field(str(name))
    return found


def _check_view(table: TableState, spelling: JSON) -> None:
    # Every view shows all records; only its existence matters.
    if spelling and not any(spelling in (view["id"], view["name"]) for view in table.views):
        raise refusal(422, "VIEW_NAME_NOT_FOUND", f"View {spelling} not found")


def _order(table: TableState, asked: JSON) -> tuple[tuple[FieldState, bool], ...]:
    found: list[tuple[FieldState, bool]] = []
    for item in asked if isinstance(asked, list) else ():
        if not isinstance(item, dict) or item.get("direction") not in (None, "asc", "desc"):
            raise invalid()
        found.append((_known(table, item.get("field")), item.get("direction") == "desc"))
    return tuple(found)


def _page(call: Call, options: Options) -> JSON:
    table, view = call.table, view_of(call)
    iteration, start = _iteration(call, view, options)
    wanted = iteration.ids[start : start + options.page_size]
    answer: dict[str, JSON] = {
        "records": [
            _shown(view, table, table.records[record_id], options)
            for record_id in wanted
            if record_id in table.records  # deleted since the listing began
        ]
    }
    following = start + options.page_size
    if following < len(iteration.ids):
        first = iteration.ids[following]
        iteration.starts[first] = following
        call.volatile.iterations[iteration.name] = iteration
        answer["offset"] = f"{iteration.name}/{first}"
    return answer


def _iteration(call: Call, view: View, options: Options) -> tuple[Iteration, int]:
    """The listing, and the index at which the page begins."""
    iterations = call.volatile.iterations
    oldest = call.now - call.switches.iterator_lifetime
    for name in [name for name, known in iterations.items() if known.used < oldest]:
        del iterations[name]
    if not options.offset:
        call.volatile.listings += 1
        name = f"itr{call.volatile.listings:014}"
        ids = [record.id for record in _selected(call.table, view, options)]
        return Iteration(name, call.table.id, ids[: options.max_records], call.now), 0
    name, _, first = options.offset.partition("/")
    found = iterations.get(name)
    if found is None or found.table != call.table.id or first not in found.starts:
        raise no_iterator()
    found.used = call.now
    return found, found.starts[first]


def _selected(table: TableState, view: View, options: Options) -> list[RecordState]:
    records = matching(table, view, options.formula)
    for field, descending in reversed(options.order):
        keys = {r.id: _sort_key(view.cell(table, r, field)) for r in records}
        records.sort(key=lambda r: keys[r.id], reverse=descending)
    return records


def _sort_key(value: JSON) -> tuple[int, float, str]:
    """Empty cells first, then numbers, then texts."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return 2, 0.0, value if isinstance(value, str) else repr(value)


def _shown(
    view: View, table: TableState, record: RecordState, options: Options
) -> dict[str, JSON]:
    shape = as_string if options.strings else None
    shown = view.record(table, record, by_id=options.by_id, only=options.only, shape=shape)
    if options.comment_count:
        shown["commentCount"] = len(record.comments)
    return shown

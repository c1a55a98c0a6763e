"""Search: filter groups, sorts, a text query, paging, and an index that lags behind.

The index sees a record as it was `search_lag` seconds ago; archived records never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from math import inf
from typing import Any, Final

from providers.hubspot.sandbox import links, records
from providers.hubspot.sandbox.errors import invalid
from providers.hubspot.sandbox.index import Window
from providers.hubspot.sandbox.objects import PREFIXES
from providers.hubspot.sandbox.paths import Answer, Call, Path, below
from providers.hubspot.sandbox.state import ObjectKind, Record
from providers.hubspot.sandbox.values import as_text, moment_of
from providers.record import JSON

_LARGEST_PAGE: Final = 200
_DEEPEST: Final = 10_000
_LONGEST_BODY: Final = 3_000
_MOST_GROUPS, _MOST_IN_GROUP, _MOST_FILTERS = 5, 6, 18

_BY_ID: Final = {"propertyName": "hs_object_id", "direction": "ASCENDING"}

Indexed = tuple[Record, Mapping[str, str | None]]


def search(call: Call) -> Answer:
    """POST …/search: by filters or words, as the index knows the records."""
    kind = call.kind("read")
    if len(call.request.body.decode(errors="replace")) > _LONGEST_BODY:
        raise invalid(f"The request body must not exceed {_LONGEST_BODY} characters")
    limit, after = _paging(call.body)
    groups = _groups(call.body)
    query = as_text(call.body.get("query")).lower()
    window, exact = _window(kind, groups)
    in_order = call.body.get("sorts") in (None, [], [_BY_ID])
    if exact and in_order and not query and not call.switches.search_lag:
        ids = call.index(kind).live(window)
        total, hits = len(ids), _seen(call, kind, ids[after : after + limit])
    else:
        tests = [[_test(call, kind, each) for each in group] for group in groups]
        found = [
            hit
            for hit in _seen(call, kind, call.index(kind).touched(_open(window)))
            if _has_text(kind, hit[1], query)
            and (not tests or any(all(holds(hit) for holds in group) for group in tests))
        ]
        found = _sorted(kind, found, call.body.get("sorts"))
        total, hits = len(found), found[after : after + limit]
    names = call.body.get("properties")
    wanted = [as_text(n) for n in names] if isinstance(names, list) and names else None
    body: dict[str, JSON] = {
        "total": total,
        "results": [_result(call, kind, hit, wanted) for hit in hits],
    }
    if after + limit < total:
        body["paging"] = {"next": {"after": str(after + limit)}}
    return 200, body


def _paging(body: Mapping[str, JSON]) -> tuple[int, int]:
    limit, after = as_text(body.get("limit")) or "10", as_text(body.get("after")) or "0"
    if not limit.isdecimal() or not 1 <= int(limit) <= _LARGEST_PAGE:
        raise invalid(f"limit must be between 1 and {_LARGEST_PAGE}")
    if not after.isdecimal():
        raise invalid("after must be an integer")
    if int(after) + int(limit) > _DEEPEST:
        raise invalid(f"The total number of results must not exceed {_DEEPEST}")
    return int(limit), int(after)


def _groups(body: Mapping[str, JSON]) -> list[list[dict[str, Any]]]:
    """The filters by group. Raises ApiError: shape, number, unknown operator."""
    given = body.get("filterGroups") or []
    bare = body.get("filters")
    listed: list[JSON] = [*given] if isinstance(given, list) else []
    if isinstance(bare, list) and bare:
        listed.append({"filters": bare})
    groups = []
    for group in listed:
        filters = group.get("filters") if isinstance(group, dict) else None
        if not isinstance(filters, list) or not all(isinstance(f, dict) for f in filters):
            raise invalid("Invalid input JSON: a filter group has filters")
        groups.append([f for f in filters if isinstance(f, dict)])
    if len(groups) > _MOST_GROUPS:
        raise invalid(f"There may be at most {_MOST_GROUPS} filter groups")
    if any(len(g) > _MOST_IN_GROUP for g in groups) or sum(map(len, groups)) > _MOST_FILTERS:
        raise invalid(f"There may be at most {_MOST_IN_GROUP} filters in a group")
    for each in (f for g in groups for f in g):
        if as_text(each.get("operator")) not in _OPERATORS:
            raise invalid(f"Invalid operator: {as_text(each.get('operator'))}")
    return groups


_RANGES: Final[Mapping[str, Callable[[float, float], tuple[float, float]]]] = {
    "EQ": lambda value, _: (value, value),
    "LT": lambda value, _: (-inf, value - 1),
    "LTE": lambda value, _: (-inf, value),
    "GT": lambda value, _: (value + 1, inf),
    "GTE": lambda value, _: (value, inf),
    "BETWEEN": lambda value, high: (value, high),
}


def _window(kind: ObjectKind, groups: list[list[dict[str, Any]]]) -> tuple[Window, bool]:
    """What ids and modified dates a hit can have, and whether that is all that is asked."""
    if len(groups) > 1:
        return Window(), False
    bounds: dict[str, tuple[float, float]] = {}
    exact = True
    for each in groups[0] if groups else ():
        name = as_text(each.get("propertyName"))
        texts = [as_text(each.get(end, each.get("value"))) for end in ("value", "highValue")]
        ends = [moment_of(text) for text in texts]
        form = _RANGES.get(as_text(each["operator"]))
        known = name in ("hs_object_id", kind.modified_property)
        if form is None or not known or ends[0] is None or ends[1] is None:
            exact = False
            continue
        (least, most), (low, high) = bounds.get(name, (-inf, inf)), form(ends[0], ends[1])
        bounds[name] = (max(least, low), min(most, high))
    everywhere = (-inf, inf)
    return (
        Window(
            bounds.get("hs_object_id", everywhere),
            bounds.get(kind.modified_property, everywhere),
        ),
        exact,
    )


def _open(window: Window) -> Window:
    """The window less its latest date: the index may know an earlier one of a record."""
    return Window(window.ids, (window.modified[0], inf))


def _seen(call: Call, kind: ObjectKind, ids: list[int]) -> list[Indexed]:
    """These records as the search index knows them, less those that it does not."""
    until = call.now - call.switches.search_lag
    found: list[Indexed] = []
    for number in ids:
        record = kind.records[str(number)]
        seen = next((v for v in reversed(record.versions) if v.since <= until), None)
        if seen is not None and seen.live:
            found.append((record, seen.properties))
    return found


def _has_text(kind: ObjectKind, seen: Mapping[str, str | None], query: str) -> bool:
    if not query:
        return True
    text = " ".join(v for n, v in seen.items() if v and n in kind.properties).lower()
    return all(word in text for word in query.split())


def _result(
    call: Call, kind: ObjectKind, hit: Indexed, wanted: list[str] | None
) -> dict[str, JSON]:
    """A hit, with the values that the index has; it may be older than the record."""
    record, seen = hit
    shown = records.shown(call, kind, record, wanted)
    properties = shown["properties"]
    if isinstance(properties, dict):
        shown["properties"] = {name: seen.get(name) for name in properties}
    modified = seen.get(kind.modified_property)
    return {**shown, "updatedAt": modified or shown["updatedAt"], "archived": False}


# --- sorts ------------------------------------------------------------------------------


def _sorted(kind: ObjectKind, found: list[Indexed], sorts: JSON) -> list[Indexed]:
    if not isinstance(sorts, list) or not sorts:
        return sorted(found, key=lambda hit: int(hit[0].id))
    if len(sorts) > 1:
        raise invalid("Only one sort is allowed")
    (sort,) = sorts
    if isinstance(sort, dict):
        name, descending = (
            as_text(sort.get("propertyName")),
            sort.get("direction") == "DESCENDING",
        )
    else:
        name = as_text(sort).removeprefix("-")
        descending = as_text(sort).startswith("-")
    if name not in kind.properties:
        raise invalid(f"Property {name} cannot be sorted by: it does not exist")
    have = [hit for hit in found if hit[1].get(name) is not None]
    lack = [hit for hit in found if hit[1].get(name) is None]
    have.sort(key=lambda hit: _comparable(kind, name, hit[1][name]), reverse=descending)
    return have + lack


# --- filters ----------------------------------------------------------------------------


def _test(call: Call, kind: ObjectKind, given: dict[str, Any]) -> Callable[[Indexed], bool]:
    """A filter as a test of hits. Raises ApiError for a property that does not exist."""
    name, operator = as_text(given.get("propertyName")), as_text(given["operator"])
    if name.startswith("associations."):
        spelling = name.partition(".")[2]
        return lambda hit: _associated(call, kind, hit[0], spelling, given)
    if name not in kind.properties:
        raise invalid(f"Property {name} does not exist")
    if operator == "NOT_HAS_PROPERTY":
        return lambda hit: hit[1].get(name) is None
    without = operator in ("NEQ", "NOT_IN", "NOT_CONTAINS_TOKEN")
    test = _OPERATORS[operator]
    comparable = lru_cache(1_000)(partial(_comparable, kind, name))

    def like(value: JSON) -> Any:
        return comparable(as_text(value))

    def holds(hit: Indexed) -> bool:
        value = hit[1].get(name)
        return without if value is None else test(comparable(value), given, like)

    return holds


def _associated(
    call: Call, kind: ObjectKind, record: Record, spelling: str, given: dict[str, Any]
) -> bool:
    target = call.portal.find(spelling)
    if target is None:
        raise invalid(f"Unable to infer object type from: {spelling}")
    wanted = {as_text(given.get("value"))} | {as_text(v) for v in _values(given)}
    linked = {to for to, _ in links.of_record(call.portal, kind, record.id, target)}
    return bool(linked & wanted) != (given["operator"] in ("NEQ", "NOT_IN"))


def _values(given: Mapping[str, JSON]) -> list[JSON]:
    listed = given.get("values")
    return listed if isinstance(listed, list) else []


def _comparable(kind: ObjectKind, name: str, text: str | None) -> tuple[int, Any]:
    """A value that compares within its property: numbers and moments by size."""
    type_ = kind.properties[name]["type"]
    text = text or ""
    if type_ in ("date", "datetime") and (moment := moment_of(text)) is not None:
        return (0, moment)
    if type_ == "number":
        try:
            number = Decimal(text)
        except InvalidOperation:
            return (1, text.lower())
        return (0, number) if number.is_finite() else (1, text.lower())
    return (1, text.lower())


Test = Callable[[tuple[int, Any], dict[str, Any], Callable[[JSON], Any]], bool]


def _token(value: tuple[int, Any], given: dict[str, Any], _: Callable[[JSON], Any]) -> bool:
    wanted = as_text(given.get("value")).lower()
    if wanted.startswith("*") or wanted.endswith("*"):
        core = wanted.strip("*")
        return any(_globbed(word, wanted, core) for word in _words(str(value[1])))
    return wanted in _words(str(value[1])) or wanted == str(value[1])


def _words(text: str) -> list[str]:
    return [text, *"".join(c if c.isalnum() else " " for c in text).split()]


def _globbed(word: str, pattern: str, core: str) -> bool:
    if pattern.startswith("*") and pattern.endswith("*"):
        return core in word
    return word.endswith(core) if pattern.startswith("*") else word.startswith(core)


_OPERATORS: Final[Mapping[str, Test]] = {
    "EQ": lambda value, given, like: bool(value == like(given.get("value"))),
    "NEQ": lambda value, given, like: bool(value != like(given.get("value"))),
    "LT": lambda value, given, like: bool(value < like(given.get("value"))),
    "LTE": lambda value, given, like: bool(value <= like(given.get("value"))),
    "GT": lambda value, given, like: bool(value > like(given.get("value"))),
    "GTE": lambda value, given, like: bool(value >= like(given.get("value"))),
    "BETWEEN": lambda value, given, like: bool(
        like(given.get("value")) <= value <= like(given.get("highValue"))
    ),
    "IN": lambda value, given, like: value in [like(v) for v in _values(given)],
    "NOT_IN": lambda value, given, like: value not in [like(v) for v in _values(given)],
    "HAS_PROPERTY": lambda _value, _given, _like: True,
    "NOT_HAS_PROPERTY": lambda _value, _given, _like: False,
    "CONTAINS_TOKEN": _token,
    "NOT_CONTAINS_TOKEN": lambda value, given, like: not _token(value, given, like),
}

PATHS: Final[list[Path]] = below(PREFIXES, [("POST", "/{type}/search", search)])

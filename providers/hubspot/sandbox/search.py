"""Search: filter groups, sorts, a text query, paging, and an index that lags behind.

The index sees a record as it was `search_lag` seconds ago; archived records never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from providers.hubspot.sandbox import links, records
from providers.hubspot.sandbox.errors import invalid
from providers.hubspot.sandbox.objects import PREFIXES
from providers.hubspot.sandbox.paths import Answer, Call, Path, below
from providers.hubspot.sandbox.state import ObjectKind, Record, Version
from providers.hubspot.sandbox.values import as_text, moment_of
from providers.record import JSON

_LARGEST_PAGE: Final = 200
_DEEPEST: Final = 10_000
_LONGEST_BODY: Final = 3_000
_MOST_GROUPS, _MOST_IN_GROUP, _MOST_FILTERS = 5, 6, 18

Indexed = tuple[Record, Mapping[str, str | None]]


def search(call: Call) -> Answer:
    """POST …/search: by filters or words, as the index knows the records."""
    kind = call.kind("read")
    if len(call.request.body.decode(errors="replace")) > _LONGEST_BODY:
        raise invalid(f"The request body must not exceed {_LONGEST_BODY} characters")
    limit, after = _paging(call.body)
    groups = _groups(call.body)
    query = as_text(call.body.get("query")).lower()
    found = [
        (record, seen)
        for record, seen in _index(call, kind)
        if _has_text(kind, seen, query)
        and (not groups or any(_all_hold(call, kind, (record, seen), g) for g in groups))
    ]
    found = _sorted(kind, found, call.body.get("sorts"))
    names = call.body.get("properties")
    wanted = [as_text(n) for n in names] if isinstance(names, list) and names else None
    body: dict[str, JSON] = {
        "total": len(found),
        "results": [_result(call, kind, hit, wanted) for hit in found[after : after + limit]],
    }
    if after + limit < len(found):
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


def _index(call: Call, kind: ObjectKind) -> list[Indexed]:
    until = call.now - call.switches.search_lag
    found: list[Indexed] = []
    for record in kind.records.values():
        seen: Version | None = None
        for version in record.versions:
            if version.since <= until:
                seen = version
        if seen is not None and seen.live:
            found.append((record, seen.properties))
    return found


def _has_text(kind: ObjectKind, seen: Mapping[str, str | None], query: str) -> bool:
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


def _all_hold(
    call: Call, kind: ObjectKind, hit: Indexed, filters: list[dict[str, Any]]
) -> bool:
    return all(_holds(call, kind, hit, each) for each in filters)


def _holds(call: Call, kind: ObjectKind, hit: Indexed, given: dict[str, Any]) -> bool:
    name = as_text(given.get("propertyName"))
    test = _OPERATORS[as_text(given["operator"])]
    if name.startswith("associations."):
        return _associated(call, kind, hit[0], name.partition(".")[2], given)
    if name not in kind.properties:
        raise invalid(f"Property {name} does not exist")
    value = hit[1].get(name)
    if given["operator"] in ("NEQ", "NOT_IN", "NOT_CONTAINS_TOKEN") and value is None:
        return True
    if given["operator"] == "NOT_HAS_PROPERTY":
        return value is None
    if value is None:
        return False

    def comparable(text: JSON) -> Any:
        return _comparable(kind, name, as_text(text))

    return test(comparable(value), given, comparable)


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

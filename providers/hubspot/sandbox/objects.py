"""One record at a time: create, read, update, archive, list, merge, delete for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from providers.hubspot.sandbox import links, records
from providers.hubspot.sandbox.errors import invalid, not_found
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import ObjectKind, Record
from providers.record import JSON

PREFIXES: Final = ("/crm/v3/objects", "/crm/objects/{version}")
_LARGEST_PAGE: Final = 100
_LARGEST_PAGE_WITH_HISTORY: Final = 50


def create(call: Call) -> Answer:
    kind = call.kind("write")
    made = records.make(call, kind, records.draft(call, kind, call.body))
    return 201, records.written(call, kind, made, call.body)


def update(call: Call) -> Answer:
    kind = call.kind("write")
    record = records.live(kind, call.variables["id"], call.option("idProperty"))
    records.write(call, kind, record, records.change(call, kind, record, call.body))
    return 200, records.written(call, kind, record, call.body)


def read(call: Call) -> Answer:
    kind = call.kind("read")
    record = records.find(kind, call.variables["id"], call.option("idProperty"))
    if record is None or (record.archived is not None) != call.flag("archived"):
        raise not_found()
    return 200, _shown(call, kind, record)


def archive(call: Call) -> Answer:
    kind = call.kind("write")
    record = records.find(kind, call.variables["id"], call.option("idProperty"))
    if record is None and not call.switches.missing_archive_is_204:
        raise not_found()
    if record is not None:
        records.archive(call, kind, record)
    return EMPTY


def list_(call: Call) -> Answer:
    """GET …/{type}: a page of live or archived records."""
    kind = call.kind("read")
    limit, after = page(call, _largest(call)), call.option("after")
    if after and not after.isdecimal():
        raise invalid("Invalid paging cursor: after must be an integer")
    archived = call.flag("archived")
    ids = call.index(kind).page(int(after or 0), limit + 1, archived=archived)
    found = [kind.records[key] for key in ids]
    if archived and call.switches.removed_in_archived_lists:
        found += (r for r in kind.gone.values() if int(r.id) >= int(after or 0))
        found.sort(key=lambda r: int(r.id))
    body: dict[str, JSON] = {"results": [_shown(call, kind, r) for r in found[:limit]]}
    if len(found) > limit:
        body["paging"] = _next(call, kind, found[limit].id)
    return 200, body


def _largest(call: Call) -> int:
    with_history = call.options("propertiesWithHistory")
    return _LARGEST_PAGE_WITH_HISTORY if with_history else _LARGEST_PAGE


def page(call: Call, largest: int, default: int = 10) -> int:
    """The `limit` of the query. Raises ApiError."""
    text = call.option("limit") or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise invalid(f"limit must be between 1 and {largest}, was {text}")
    return int(text)


def _next(call: Call, kind: ObjectKind, after: str) -> JSON:
    query = [(n, v) for n, v in call.request.query if n != "after"] + [("after", after)]
    link = f"https://api.hubspot.com/crm/objects/v3/{kind.plural}?{urlencode(query)}"
    return {"next": {"after": after, "link": link}}


def _shown(call: Call, kind: ObjectKind, record: Record) -> dict[str, JSON]:
    names: Sequence[str] | None = call.options("properties") or None
    found = records.shown(call, kind, record, names)
    if with_history := call.options("propertiesWithHistory"):
        found["propertiesWithHistory"] = records.history(record, with_history)
    if spellings := call.options("associations"):
        found["associations"] = _associations(call, kind, record, spellings)
    return found


def _associations(call: Call, kind: ObjectKind, record: Record, wanted: Sequence[str]) -> JSON:
    found: dict[str, JSON] = {}
    for spelling in wanted:
        target = call.portal.find(spelling)
        if target is None:
            raise invalid(f"Unable to infer object type from: {spelling}")
        linked: list[JSON] = [
            {"id": to_id, "type": each.name}
            for to_id, types in links.of_record(call.portal, kind, record.id, target)
            for each in types
        ]
        if linked:
            found[target.plural] = {"results": linked}
    return found


def merge(call: Call) -> Answer:
    kind = call.kind("write")
    one, other = (
        records.live(kind, records.input_id(call.body, name))
        for name in ("primaryObjectId", "objectIdToMerge")
    )
    merged = records.merge(call, kind, one, other)
    return 200, records.written(call, kind, merged, {})


def gdpr_delete(call: Call) -> Answer:
    kind = call.kind("write")
    key = records.input_id(call.body, "objectId")
    by = call.body.get("idProperty")
    record = records.find(kind, key, by if isinstance(by, str) else "")
    if record is not None:
        records.delete(call, kind, record)
    return EMPTY


PATHS: Final[list[Path]] = below(
    PREFIXES,
    (
        ("GET", "/{type}", list_),
        ("POST", "/{type}", create),
        ("GET", "/{type}/{id}", read),
        ("PATCH", "/{type}/{id}", update),
        ("DELETE", "/{type}/{id}", archive),
        ("POST", "/{type}/merge", merge),
        ("POST", "/{type}/gdpr-delete", gdpr_delete),
    ),
)

"""What the payloads of a webhook tell: which records are to be read, never their values.

A payload is one transaction of the base. Its cells have a form of their own ("V2": a
select is an object, a link a list of names) and hide what was computed from them, so
only ids are taken: every record that was made, changed or destroyed is marked to be read
again. That also holds for the destroyed: Airtable's trash gives them back under their id.

A change of the schema asks for rediscovery, and the table of a new or retyped field is
listed anew, because its cells have values that no payload tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from providers.record import JSON, Change, Dirty
from providers.spec import Unreadable

_CHANGED: Final = "changed at Airtable"
_NEW_FIELD: Final = "a field was made or changed at Airtable"
_SCHEMA: Final = (
    "createdFieldsById",
    "changedFieldsById",
    "destroyedFieldIds",
    "changedMetadata",
)


def is_broken(payload: JSON) -> bool:
    """Whether the payload says that Airtable could not tell what changed."""
    return isinstance(payload, dict) and payload.get("error") is True


def change_in(payloads: Iterable[JSON], tables: frozenset[str]) -> Change:
    """What some payloads mean for the tables with these ids. Raises Unreadable."""
    records: dict[tuple[str, str], None] = {}
    wholes: dict[str, None] = {}
    schema_changed = False
    for payload in payloads:
        told = _object(payload)
        if told.get("createdTablesById") or told.get("destroyedTableIds"):
            schema_changed = True
        for table, raw in _object(told.get("changedTablesById")).items():
            if table not in tables:
                continue
            changed = _object(raw)
            records.update(dict.fromkeys((table, i) for i in _record_ids(changed)))
            schema_changed = schema_changed or any(changed.get(name) for name in _SCHEMA)
            if _has_new_values(changed):
                wholes[table] = None
    return Change(
        dirty=tuple(Dirty(table, (i,), _CHANGED) for table, i in records)
        + tuple(Dirty(table, None, _NEW_FIELD) for table in wholes),
        schema_changed=schema_changed,
    )


def _record_ids(changed: Mapping[str, JSON]) -> list[str]:
    destroyed = changed.get("destroyedRecordIds") or []
    if not isinstance(destroyed, list):
        raise Unreadable("a payload's destroyed records are no list")
    return [
        *_object(changed.get("createdRecordsById")),
        *_object(changed.get("changedRecordsById")),
        *map(str, destroyed),
    ]


def _has_new_values(changed: Mapping[str, JSON]) -> bool:
    """Whether a field was made, or became more than only another name."""
    altered = _object(changed.get("changedFieldsById")).values()
    return bool(changed.get("createdFieldsById")) or not all(map(_is_rename, altered))


def _is_rename(field: JSON) -> bool:
    now, before = (_object(_object(field).get(side)) for side in ("current", "previous"))
    differs = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
    return differs == {"name"}


def _object(value: JSON) -> Mapping[str, JSON]:
    """An object of a payload; one that is left out is empty. Raises Unreadable."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise Unreadable("a payload is not of the shape that Airtable documents")

"""Records: made, changed, archived, found, merged and deleted for good.

What a handler decides about several records at once (a batch, a merge) is made of these
steps. A step checks everything before it changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from providers.hubspot.sandbox import links
from providers.hubspot.sandbox.errors import ApiError, conflict, invalid, not_found
from providers.hubspot.sandbox.paths import Call
from providers.hubspot.sandbox.state import ObjectKind, Record, stamp
from providers.hubspot.sandbox.values import Values, as_text, checked, order_of
from providers.record import JSON

_SOURCE = "INTEGRATION"
_REMEMBERED = 20  # values of a property that its history goes back


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that may be made: its values are checked, its associations exist."""

    values: Values
    associations: list[links.Wanted]


def draft(call: Call, kind: ObjectKind, given: Mapping[str, JSON]) -> Draft:
    """Checks a create. Raises ApiError; changes nothing."""
    values = checked(call.portal, kind, _properties(given))
    _unique(kind, values, None)
    wanted = links.wanted(call, kind, given.get("associations"))
    return Draft(values, wanted)


def make(call: Call, kind: ObjectKind, plan: Draft) -> Record:
    """Makes the record of a draft."""
    portal = call.portal
    record = Record(str(portal.next_record), call.now, call.now)
    portal.next_record += 1
    kind.records[record.id] = record
    computed = {
        kind.created_property: stamp(call.now),
        "hs_object_id": record.id,
        "hs_object_source": _SOURCE,
        "hs_object_source_id": str(call.token.app),
    }
    _write(call, kind, record, {**_initial(kind), **plan.values, **computed}, new=True)
    for wanted in plan.associations:
        links.add(call, wanted, record.id)
    return record


def _initial(kind: ObjectKind) -> Values:
    """What HubSpot fills in by itself."""
    for name, pipeline in kind.pipelines.items():
        stages = pipeline["stages"]
        first = (
            stages[0]["id"] if isinstance(stages, list) and isinstance(stages[0], dict) else ""
        )
        pair = (
            ("pipeline", "dealstage")
            if kind.id == "0-3"
            else ("hs_pipeline", "hs_pipeline_stage")
        )
        return {pair[0]: name, pair[1]: str(first)}
    return {"lifecyclestage": "lead"} if kind.id == "0-1" else {}


def change(call: Call, kind: ObjectKind, record: Record, given: Mapping[str, JSON]) -> Values:
    """Checks an update; the values to write. Raises ApiError; changes nothing."""
    values = checked(call.portal, kind, _properties(given))
    _unique(kind, values, record)
    stage, now = values.get("lifecyclestage"), record.properties.get("lifecyclestage")
    if stage and now and call.switches.lifecycle_stage_only_forward:
        definition = kind.properties["lifecyclestage"]
        if order_of(definition, stage) < order_of(definition, now):
            values["lifecyclestage"] = now  # ignored without a word
    return values


def write(call: Call, kind: ObjectKind, record: Record, values: Values) -> None:
    """Writes checked values."""
    record.updated = max(call.now, record.updated)
    _write(call, kind, record, values)


def _write(
    call: Call, kind: ObjectKind, record: Record, values: Values, *, new: bool = False
) -> None:
    moment = stamp(record.updated)
    for name, value in {**values, kind.modified_property: moment}.items():
        if record.properties.get(name) == value and name in record.properties:
            continue
        if not new:
            past = record.history.setdefault(name, _first_value(record, name))
            past.insert(0, [call.now, value])
            del past[_REMEMBERED:]
        record.properties[name] = value
        if value is not None and kind.properties.get(name, {}).get("hasUniqueValue") is True:
            kind.holders.setdefault(name, {})[value] = record.id
    email = record.properties.get("email")
    if email and "hs_email_domain" in kind.properties:
        record.properties["hs_email_domain"] = email.partition("@")[2]
    call.keep(kind, record)


def _first_value(record: Record, name: str) -> list[list[Any]]:
    """The history of a property that has not changed since the record was made."""
    value = record.properties.get(name)
    return [] if value is None else [[record.created, value]]


def _properties(given: Mapping[str, JSON]) -> Mapping[str, JSON]:
    found = given.get("properties")
    if not isinstance(found, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    return found


def _unique(kind: ObjectKind, values: Values, record: Record | None) -> None:
    for name, value in values.items():
        if value is None or kind.properties[name].get("hasUniqueValue") is not True:
            continue
        other = by_property(kind, name, value)
        if other is None or other is record:
            continue
        if name == "email":
            raise conflict(other.id)
        raise invalid(
            f"Cannot set PropertyValueCoordinates{{objectTypeId={kind.id}, propertyName={name},"
            f" value={value}}}. {other.id} already has that value.",
            errors=[
                {
                    "message": f"{other.id} already has that value.",
                    "code": "CONFLICTING_UNIQUE_VALUE",
                    "context": {"propertyName": [name], "id": [other.id]},
                }
            ],
        )


# --- finding ----------------------------------------------------------------------------


def by_property(kind: ObjectKind, name: str, value: str) -> Record | None:
    """The live record with this value of a unique property."""
    wanted = value.lower() if name == "email" else value
    found = kind.records.get(kind.holders.get(name, {}).get(wanted, ""))
    if found is None or found.archived is not None or found.properties.get(name) != wanted:
        return None
    return found


def find(
    kind: ObjectKind, key: str, id_property: str = "", *, follow: bool = True
) -> Record | None:
    """The record, archived or not; merged ids lead to what they became if `follow`."""
    if id_property and id_property != "hs_object_id":
        definition = kind.properties.get(id_property)
        if definition is None or definition.get("hasUniqueValue") is not True:
            raise invalid(
                f"Property {id_property} is not a unique identifier property of {kind.plural}"
            )
        return by_property(kind, id_property, key)
    while follow and key in kind.merged:
        key = kind.merged[key]
    return kind.records.get(key)


def live(kind: ObjectKind, key: str, id_property: str = "") -> Record:
    """The record that is not archived. Raises ApiError (404)."""
    record = find(kind, key, id_property)
    if record is None or record.archived is not None:
        raise not_found()
    return record


# --- leaving ----------------------------------------------------------------------------


def archive(call: Call, kind: ObjectKind, record: Record) -> None:
    """Archives; what is archived stays so."""
    if record.archived is None:
        record.archived = record.updated = max(call.now, record.updated)
        call.keep(kind, record)


def delete(call: Call, kind: ObjectKind, record: Record) -> None:
    """Deletes for good, with its associations."""
    call.index(kind).drop(record)
    del kind.records[record.id]
    record.archived = record.archived or call.now
    kind.gone[record.id] = record
    links.drop_all(call.portal, kind, record.id)


def merge(call: Call, kind: ObjectKind, primary: Record, other: Record) -> Record:
    """Makes one record of two; both old ids lead to it. The primary's values win."""
    if primary is other:
        raise invalid("Cannot merge an object with itself")
    values = {n: v for n, v in other.properties.items() if v is not None}
    values |= {n: v for n, v in primary.properties.items() if v is not None}
    left: tuple[Record, ...]
    if call.switches.merge_makes_new_id:
        merged = Record(str(call.portal.next_record), primary.created, call.now)
        call.portal.next_record += 1
        left = (primary, other)
    else:
        merged, left = primary, (other,)
    for old in left:
        links.move_all(call.portal, kind, old.id, merged.id)
        kind.merged[old.id] = merged.id
        delete(call, kind, old)
    kind.records[merged.id] = merged
    own = {"hs_object_id": merged.id, "hs_merged_object_ids": f"{primary.id};{other.id}"}
    write(call, kind, merged, {**values, **own})
    return merged


# --- showing ----------------------------------------------------------------------------


def shown(
    call: Call, kind: ObjectKind, record: Record, names: Iterable[str] | None = None
) -> dict[str, JSON]:
    """A record as an answer shows it: `names` and what always comes, or the defaults."""
    always = (kind.created_property, kind.modified_property, "hs_object_id")
    wanted = (*always, *names) if names is not None else kind.defaults
    properties: dict[str, JSON] = {
        n: record.properties.get(n) for n in sorted({*wanted}) if n in kind.properties
    }
    found: dict[str, JSON] = {
        "id": record.id,
        "properties": properties,
        "createdAt": stamp(record.created),
        "updatedAt": stamp(record.updated),
        "archived": record.archived is not None,
    }
    if record.archived is not None:
        found["archivedAt"] = stamp(record.archived)
    found["url"] = (
        f"https://app.hubspot.com/contacts/{call.portal.id}/record/{kind.id}/{record.id}"
    )
    return found


def written(
    call: Call, kind: ObjectKind, record: Record, given: Mapping[str, JSON]
) -> dict[str, JSON]:
    """A record as the answer to a write shows it: what was set, defaults, a few computed.

    Deliberately not everything: what a record looks like is told by reading it.
    """
    if call.switches.full_answers:
        return shown(call, kind, record, kind.properties)
    found = shown(call, kind, record)
    set_ = given.get("properties")
    names = list(set_) if isinstance(set_, dict) else []
    properties: dict[str, JSON] = {
        name: record.properties.get(name)
        for name in (*kind.defaults, "hs_object_source", "hs_object_source_id", *names)
        if record.properties.get(name) is not None
    }
    cleared: JSON = None if call.switches.cleared_as_null else ""
    found["properties"] = properties | {n: cleared for n in names if n not in properties}
    return found


def history(record: Record, names: Iterable[str]) -> dict[str, JSON]:
    """`propertiesWithHistory`: every value a property had, the newest first."""
    return {
        name: [
            {"value": value or "", "timestamp": stamp(moment), "sourceType": _SOURCE}
            for moment, value in record.history.get(name) or _first_value(record, name)
        ]
        for name in names
    }


def inputs(call: Call, most: int) -> list[dict[str, JSON]]:
    """The `inputs` of a batch. Raises ApiError: none, too many, not objects."""
    listed = call.body.get("inputs")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise invalid("Invalid input JSON: inputs must be a list of objects")
    if not listed or len(listed) > most:
        raise invalid(f"inputs: size must be between 1 and {most}")
    return [each for each in listed if isinstance(each, dict)]


def input_id(given: Mapping[str, JSON], name: str = "id") -> str:
    """The id of an input. Raises ApiError if there is none."""
    found = as_text(given.get(name))
    if not found:
        raise invalid(f"Invalid input JSON: {name} is required")
    return found


def problem(error: ApiError, context: dict[str, JSON]) -> dict[str, JSON]:
    """One of the `errors` of a partly failed batch."""
    return {"links": {}, "errors": [], **error.members, "status": "error", "context": context}

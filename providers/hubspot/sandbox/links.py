"""Associations between records: what there is, and how they come and go.

An association is kept in both directions, each with the type ids seen from its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from providers.hubspot.sandbox.errors import invalid, not_found
from providers.hubspot.sandbox.paths import Call
from providers.hubspot.sandbox.state import AssociationType, ObjectKind, Portal, Record, stamp
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

Ends = tuple[ObjectKind, ObjectKind]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An association to be made with a record that has no id yet."""

    origin: ObjectKind
    target: ObjectKind
    to_id: str
    types: tuple[int, ...]


def types_between(
    portal: Portal, origin: ObjectKind, target: ObjectKind
) -> list[AssociationType]:
    return portal.association_types.get(f"{origin.id}>{target.id}", [])


def default_type(portal: Portal, origin: ObjectKind, target: ObjectKind) -> AssociationType:
    """The unlabelled type. Raises ApiError if the two cannot be associated."""
    found = next((t for t in types_between(portal, origin, target) if t.label is None), None)
    if found is None:
        raise invalid(f"No association type between {origin.plural} and {target.plural}")
    return found


def type_ids(portal: Portal, ends: Ends, specs: JSON) -> tuple[int, ...]:
    """The ids of `[{"associationCategory", "associationTypeId"}]`. Raises ApiError."""
    known = {(t.category, t.id) for t in types_between(portal, *ends)}
    found = []
    for each in specs if isinstance(specs, list) else []:
        given = each if isinstance(each, dict) else {}
        category, id_ = (
            given.get("associationCategory"),
            as_text(given.get("associationTypeId")),
        )
        if not id_.isdecimal() or (category, int(id_)) not in known:
            raise invalid(
                f"No association type with id {id_} and category {category} exists between"
                f" {ends[0].plural} and {ends[1].plural}"
            )
        found.append(int(id_))
    if not found:
        raise invalid("Invalid input JSON: association types are required")
    return tuple(found)


def wanted(call: Call, origin: ObjectKind, given: JSON) -> list[Wanted]:
    """The `associations` of a create. Raises ApiError; changes nothing."""
    found = []
    for each in given if isinstance(given, list) else []:
        to = each.get("to") if isinstance(each, dict) else None
        specs = each.get("types") if isinstance(each, dict) else None
        if not isinstance(to, dict) or not isinstance(specs, list):
            raise invalid("Invalid input JSON: an association has `to` and `types`")
        target = _target_of(call.portal, origin, specs)
        to_id = as_text(to.get("id"))
        record(target, to_id)
        found.append(
            Wanted(origin, target, to_id, type_ids(call.portal, (origin, target), specs))
        )
    return found


def _target_of(portal: Portal, origin: ObjectKind, specs: list[JSON]) -> ObjectKind:
    """The other end: only the association type tells it."""
    for spec in specs:
        given = spec if isinstance(spec, dict) else {}
        for ends, types in portal.association_types.items():
            one, _, other = ends.partition(">")
            if one == origin.id and any(
                str(t.id) == as_text(given.get("associationTypeId")) for t in types
            ):
                return portal.kinds[other]
    raise invalid(f"No such association type from {origin.plural}")


def record(kind: ObjectKind, key: str) -> Record:
    """The live record at one end. Raises ApiError (404)."""
    while key in kind.merged:
        key = kind.merged[key]
    found = kind.records.get(key)
    if found is None or found.archived is not None:
        raise not_found(f"No {kind.singular} with id {key} exists")
    return found


# --- coming and going -------------------------------------------------------------------


def add(call: Call, wanted: Wanted, from_id: str) -> None:
    """Adds an association; the unlabelled type always comes along."""
    portal, ends = call.portal, (wanted.origin, wanted.target)
    inverse = {t.id: t.inverse for t in types_between(portal, *ends)}
    unlabelled = default_type(portal, *ends).id
    for type_id in dict.fromkeys((*wanted.types, unlabelled)):
        _insert(portal, ends, (from_id, wanted.to_id), type_id)
        _insert(portal, (ends[1], ends[0]), (wanted.to_id, from_id), inverse[type_id])
    _touch(call, ends, (from_id, wanted.to_id))


def _insert(portal: Portal, ends: Ends, pair: tuple[str, str], type_id: int) -> None:
    there = portal.links.setdefault(f"{ends[0].id}>{ends[1].id}", {})
    listed = there.setdefault(pair[0], {}).setdefault(pair[1], [])
    if type_id not in listed:
        listed.append(type_id)


def remove(
    call: Call, ends: Ends, pair: tuple[str, str], types: Iterable[int] | None = None
) -> None:
    """Removes an association, or only some of its types; what is not there is no error."""
    portal = call.portal
    there = _of(portal, *ends, pair[0]).get(pair[1], [])
    inverse = {t.id: t.inverse for t in types_between(portal, *ends)}
    for type_id in list(there if types is None else types):
        _discard(portal, ends, pair, type_id)
        _discard(portal, (ends[1], ends[0]), (pair[1], pair[0]), inverse.get(type_id, -1))
    _touch(call, ends, pair)


def _discard(portal: Portal, ends: Ends, pair: tuple[str, str], type_id: int) -> None:
    there = _of(portal, *ends, pair[0])
    listed = there.get(pair[1], [])
    if type_id in listed:
        listed.remove(type_id)
    if not listed:
        there.pop(pair[1], None)


def drop_all(portal: Portal, kind: ObjectKind, key: str) -> None:
    """Every association of a record that is gone for good."""
    for other in portal.kinds.values():
        for to_id in portal.links.get(f"{kind.id}>{other.id}", {}).pop(key, {}):
            _of(portal, other, kind, to_id).pop(key, None)


def move_all(portal: Portal, kind: ObjectKind, old: str, new: str) -> None:
    """A merge: what belonged to the old record belongs to the new one, but not itself."""
    for other in portal.kinds.values():
        inverse = {t.id: t.inverse for t in types_between(portal, kind, other)}
        for to_id, listed in _of(portal, kind, other, old).items():
            if (other.id, to_id) == (kind.id, new):
                continue
            for type_id in listed:
                _insert(portal, (kind, other), (new, to_id), type_id)
                if type_id in inverse:
                    _insert(portal, (other, kind), (to_id, new), inverse[type_id])


# --- looking ----------------------------------------------------------------------------


def _of(
    portal: Portal, origin: ObjectKind, target: ObjectKind, key: str
) -> dict[str, list[int]]:
    return portal.links.get(f"{origin.id}>{target.id}", {}).get(key, {})


def of_record(
    portal: Portal, origin: ObjectKind, from_id: str, target: ObjectKind
) -> Iterator[tuple[str, list[AssociationType]]]:
    """The ids associated with a record, each with its types; archived ones are hidden."""
    types = {t.id: t for t in types_between(portal, origin, target)}
    for to_id, listed in _of(portal, origin, target, from_id).items():
        found = target.records.get(to_id)
        if found is not None and found.archived is None:
            yield to_id, [types[t] for t in listed if t in types]


# --- what follows from it ---------------------------------------------------------------

_COUNTS = {"0-1": "contacts", "0-3": "deals"}


def _touch(call: Call, ends: Ends, pair: tuple[str, str]) -> None:
    """Computed properties that count or name associated records."""
    for kind, key, other in ((ends[0], pair[0], ends[1]), (ends[1], pair[1], ends[0])):
        found = kind.records.get(key)
        if found is None:
            continue
        linked = _of(call.portal, kind, other, key)
        if not call.index(other).all_live:
            linked = {to: linked[to] for to, _ in of_record(call.portal, kind, key, other)}
        name = f"num_associated_{_COUNTS.get(other.id, '')}"
        if name in kind.properties:
            found.properties[name] = str(len(linked))
        if kind.id == "0-1" and other.id == "0-2":
            found.properties["associatedcompanyid"] = next(iter(linked), None)
        if call.switches.associations_touch_records:
            found.updated = max(call.now, found.updated)
            found.properties[kind.modified_property] = stamp(found.updated)
            call.keep(kind, found)

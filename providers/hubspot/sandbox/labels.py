"""Association types and their labels: what a portal may call an association."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from providers.hubspot.sandbox import links
from providers.hubspot.sandbox.association_types import add_type
from providers.hubspot.sandbox.associations import ends_of
from providers.hubspot.sandbox.errors import invalid, not_found
from providers.hubspot.sandbox.links import Ends
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import AssociationType
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

_FIRST_OWN_TYPE: Final = 1_000  # HubSpot's own are below


def list_types(call: Call) -> Answer:
    """v3: names and ids."""
    found = links.types_between(call.portal, *ends_of(call, "read"))
    return 200, {"results": [{"id": str(t.id), "name": t.name} for t in found]}


def list_labels(call: Call) -> Answer:
    return _shown(links.types_between(call.portal, *ends_of(call, "read")))


def _shown(types: Iterable[AssociationType]) -> Answer:
    listed: list[JSON] = [
        {"category": t.category, "typeId": t.id, "label": t.label} for t in types
    ]
    return 200, {"results": listed}


def create_label(call: Call) -> Answer:
    """POST …/labels: one type, or two that are each other's inverse."""
    ends = ends_of(call, "write")
    name, label = _text(call.body, "name"), _text(call.body, "label")
    inverse = as_text(call.body.get("inverseLabel")) or label
    there = _FIRST_OWN_TYPE + call.portal.number()
    symmetric = inverse == label and ends[0] is ends[1]
    back = there if symmetric else _FIRST_OWN_TYPE + call.portal.number()
    add_type(
        call.portal.association_types,
        (ends[0].id, ends[1].id),
        (there, name, label),
        (back, f"{name}_inverse", inverse),
        "USER_DEFINED",
    )
    made = [t for t in links.types_between(call.portal, *ends) if t.id in (there, back)]
    return _shown(made)


def update_label(call: Call) -> Answer:
    ends = ends_of(call, "write")
    found = _own(call, ends, as_text(call.body.get("associationTypeId")))
    found.label = _text(call.body, "label")
    if inverse := as_text(call.body.get("inverseLabel")):
        for each in links.types_between(call.portal, ends[1], ends[0]):
            if each.id == found.inverse:
                each.label = inverse
    return EMPTY


def delete_label(call: Call) -> Answer:
    """DELETE …/labels/{label}: the type goes, from both ends and from every pair."""
    ends = ends_of(call, "write")
    found = _own(call, ends, call.variables["label"])
    gone = {found.id, found.inverse}
    for one, other in (ends, (ends[1], ends[0])):
        key = f"{one.id}>{other.id}"
        kept = [t for t in call.portal.association_types[key] if t.id not in gone]
        call.portal.association_types[key] = kept
        for pairs in call.portal.links.get(key, {}).values():
            for listed in pairs.values():
                listed[:] = [t for t in listed if t not in gone]
    return EMPTY


def _own(call: Call, ends: Ends, type_id: str) -> AssociationType:
    for each in links.types_between(call.portal, *ends):
        if str(each.id) == type_id and each.category == "USER_DEFINED":
            return each
    raise not_found(f"No label with type id {type_id}")


def _text(body: Mapping[str, JSON], name: str) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not found:
        raise invalid(f"Invalid input JSON: {name} is required")
    return found


def list_limits(_call: Call) -> Answer:
    """How many records an association may have: nobody has set any limit here."""
    return 200, {"results": []}


PATHS: Final[list[Path]] = [
    ("GET", "/crm/v3/associations/{from}/{to}/types", list_types),
    *below(
        ("/crm/v4/associations", "/crm/associations/{version}"),
        (
            ("GET", "/{from}/{to}/types", list_types),
            ("GET", "/{from}/{to}/labels", list_labels),
            ("POST", "/{from}/{to}/labels", create_label),
            ("PUT", "/{from}/{to}/labels", update_label),
            ("DELETE", "/{from}/{to}/labels/{label}", delete_label),
            ("GET", "/definitions/configurations/all", list_limits),
            ("GET", "/definitions/configurations/{from}/{to}", list_limits),
        ),
    ),
]

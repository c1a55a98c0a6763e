"""Custom object types."""

from __future__ import annotations

from typing import Final

from providers.hubspot.sandbox.association_types import add_type
from providers.hubspot.sandbox.catalogue import new_kind
from providers.hubspot.sandbox.definitions import new_property
from providers.hubspot.sandbox.errors import ApiError, invalid, not_found
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import Definition, ObjectKind, Portal, stamp
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON


def list_schemas(call: Call) -> Answer:
    call.need("crm.schemas.custom.read")
    customs = (kind for kind in call.portal.kinds.values() if kind.schema is not None)
    found: list[JSON] = [_shown(call.portal, kind) for kind in customs]
    return 200, {"results": found}


def _shown(portal: Portal, kind: ObjectKind) -> Definition:
    """A type's schema with its properties and the association types from it."""
    own: Definition = {"id": kind.id, "objectTypeId": kind.id, "name": kind.singular.upper()}
    associations: list[JSON] = [
        {
            "id": str(each.id),
            "name": each.name,
            "fromObjectTypeId": one,
            "toObjectTypeId": other,
        }
        for ends, types in portal.association_types.items()
        for one, other in [ends.split(">")]
        for each in types
        if one == kind.id
    ]
    return {
        **(kind.schema or own),
        "properties": [*kind.properties.values()],
        "associations": associations,
    }


def _custom(call: Call, access: str) -> ObjectKind:
    kind = call.kind(access)
    if kind.schema is None:
        raise not_found(f"{kind.plural} is not a custom object type")
    return kind


def read_schema(call: Call) -> Answer:
    kind = call.kind("schema read")
    if kind.schema is None and not call.switches.standard_schemas:
        kind = _custom(call, "schema read")
    return 200, _shown(call.portal, kind)


def create_schema(call: Call) -> Answer:
    """POST …/schemas: a custom object type with its properties."""
    call.need("crm.schemas.custom.write")
    portal, name = call.portal, as_text(call.body.get("name"))
    if not name or not isinstance(call.body.get("labels"), dict):
        raise invalid("Invalid input JSON: name and labels are required")
    if portal.find(name) is not None:
        raise ApiError(
            409, f"An object type named {name} already exists.", "OBJECT_ALREADY_EXISTS"
        )
    type_id, full = f"2-{1_000_000 + portal.number()}", f"p{portal.id}_{name}"
    spellings = [spelling.lower() for spelling in (type_id, name, full, f"p_{name}")]
    kind = new_kind((type_id, name, name), spellings, (), call.now)
    own = call.body.get("properties")
    for given in own if isinstance(own, list) else []:
        made = new_property(call, kind, given if isinstance(given, dict) else {})
        kind.properties[str(made["name"])] = made
    kind.schema = _schema(call, kind, full)
    _associate_all(call, kind)
    portal.kinds[type_id] = kind
    return 201, _shown(portal, kind)


def _schema(call: Call, kind: ObjectKind, full: str) -> Definition:
    body = call.body
    return {
        "id": kind.id,
        "objectTypeId": kind.id,
        "name": kind.plural,
        "fullyQualifiedName": full,
        "labels": body["labels"],
        "requiredProperties": body.get("requiredProperties") or [],
        "searchableProperties": body.get("searchableProperties") or [],
        "secondaryDisplayProperties": body.get("secondaryDisplayProperties") or [],
        "primaryDisplayProperty": body.get("primaryDisplayProperty"),
        "archived": False,
        "createdAt": stamp(call.now),
        "updatedAt": stamp(call.now),
    }


def _associate_all(call: Call, kind: ObjectKind) -> None:
    """Adds the unlabelled types to every associated object, in both directions."""
    wanted = call.body.get("associatedObjects")
    for spelling in wanted if isinstance(wanted, list) else []:
        target = call.portal.find(as_text(spelling))
        if target is None:
            raise invalid(f"Unable to infer object type from: {as_text(spelling)}")
        _associate(call.portal, kind, target, f"{kind.singular}_to_{target.singular}")


def _associate(portal: Portal, kind: ObjectKind, target: ObjectKind, name: str) -> JSON:
    there, back = (10_000 + portal.number() for _ in range(2))
    add_type(
        portal.association_types,
        (kind.id, target.id),
        (there, name, ""),
        (back, f"{target.singular}_to_{kind.singular}", ""),
        "USER_DEFINED",
    )
    return {
        "id": str(there),
        "name": name,
        "fromObjectTypeId": kind.id,
        "toObjectTypeId": target.id,
    }


def update_schema(call: Call) -> Answer:
    """PATCH …/schemas/{type}."""
    kind = _custom(call, "schema write")
    settable = (
        "labels",
        "requiredProperties",
        "searchableProperties",
        "primaryDisplayProperty",
    )
    changes = {n: call.body[n] for n in settable if n in call.body}
    kind.schema = {**(kind.schema or {}), **changes, "updatedAt": stamp(call.now)}
    return 200, kind.schema


def delete_schema(call: Call) -> Answer:
    kind = _custom(call, "schema write")
    if any(record.archived is None for record in kind.records.values()):
        raise invalid("The object type still has records and cannot be deleted")
    del call.portal.kinds[kind.id]
    for ends in [e for e in call.portal.association_types if kind.id in e.split(">")]:
        del call.portal.association_types[ends]
    return EMPTY


def create_schema_association(call: Call) -> Answer:
    kind = _custom(call, "schema write")
    target = call.portal.find(as_text(call.body.get("toObjectTypeId")))
    if target is None:
        raise invalid("Unable to infer object type from: toObjectTypeId")
    name = as_text(call.body.get("name")) or f"{kind.singular}_to_{target.singular}"
    return 201, _associate(call.portal, kind, target, name)


PATHS: Final[list[Path]] = below(
    ("/crm-object-schemas/{version}/schemas",),
    (
        ("GET", "", list_schemas),
        ("POST", "", create_schema),
        ("GET", "/{type}", read_schema),
        ("PATCH", "/{type}", update_schema),
        ("DELETE", "/{type}", delete_schema),
        ("POST", "/{type}/associations", create_schema_association),
    ),
)

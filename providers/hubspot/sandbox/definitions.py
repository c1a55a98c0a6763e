"""Property definitions and their groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.hubspot.sandbox import records
from providers.hubspot.sandbox.batch import AT_ONCE, completed
from providers.hubspot.sandbox.errors import ApiError, invalid, not_found
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import Definition, ObjectKind, stamp
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

_TYPES: Final = {
    *("string", "number", "date", "datetime", "enumeration", "bool", "phone_number", "json"),
    "object_coordinates",
}
_SETTABLE: Final = {
    *("label", "type", "fieldType", "description", "groupName", "options", "displayOrder"),
    *("hidden", "formField", "calculationFormula"),
}


# --- properties -------------------------------------------------------------------------


def list_properties(call: Call) -> Answer:
    kind = call.kind("schema read")
    found = kind.archived_properties if call.flag("archived") else kind.properties
    return 200, {"results": [*found.values()]}


def read_property(call: Call) -> Answer:
    kind = call.kind("schema read")
    found = kind.archived_properties if call.flag("archived") else kind.properties
    return 200, _property(found, call.variables["name"])


def _property(found: Mapping[str, Definition], name: str) -> Definition:
    if name not in found:
        raise not_found(f"Property {name} does not exist")
    return found[name]


def create_property(call: Call) -> Answer:
    kind = call.kind("schema write")
    made = new_property(call, kind, call.body)
    kind.properties[str(made["name"])] = made
    return 201, made


def new_property(call: Call, kind: ObjectKind, given: Mapping[str, JSON]) -> Definition:
    """A property definition of a request. Raises ApiError."""
    name, type_ = as_text(given.get("name")), as_text(given.get("type"))
    if not name or not as_text(given.get("label")) or not as_text(given.get("fieldType")):
        raise invalid("Invalid input JSON: name, label and fieldType are required")
    if type_ not in _TYPES:
        raise invalid(f"Invalid property type: {type_}")
    if name in kind.properties:
        raise ApiError(
            409, f'A property named "{name}" already exists.', "OBJECT_ALREADY_EXISTS"
        )
    options = given.get("options")
    return {
        "updatedAt": stamp(call.now),
        "createdAt": stamp(call.now),
        "description": "",
        "displayOrder": -1,
        "calculated": bool(given.get("calculationFormula")),
        "externalOptions": False,
        "archived": False,
        "hidden": False,
        "formField": False,
        "createdUserId": str(call.token.user),
        "updatedUserId": str(call.token.user),
        "modificationMetadata": {
            "archivable": True,
            "readOnlyDefinition": False,
            "readOnlyValue": bool(given.get("calculationFormula")),
        },
        "groupName": "information",
        **{n: v for n, v in given.items() if n in _SETTABLE},
        "name": name,
        "options": options if isinstance(options, list) else [],
        "hasUniqueValue": given.get("hasUniqueValue") is True,
    }


def update_property(call: Call) -> Answer:
    kind = call.kind("schema write")
    found = _property(kind.properties, call.variables["name"])
    changes = {n: v for n, v in call.body.items() if n in _SETTABLE}
    kind.properties[str(found["name"])] = {**found, **changes, "updatedAt": stamp(call.now)}
    return 200, kind.properties[str(found["name"])]


def archive_property(call: Call) -> Answer:
    kind = call.kind("schema write")
    _archive(call, kind, call.variables["name"])
    return EMPTY


def _archive(call: Call, kind: ObjectKind, name: str) -> None:
    found = _property(kind.properties, name)
    metadata = found.get("modificationMetadata")
    if isinstance(metadata, dict) and metadata.get("archivable") is False:
        raise invalid(f"Property {name} is defined by HubSpot and cannot be archived")
    kind.archived_properties[name] = {**found, "archived": True, "archivedAt": stamp(call.now)}
    del kind.properties[name]


def batch_create_properties(call: Call) -> Answer:
    kind = call.kind("schema write")
    made = [new_property(call, kind, each) for each in records.inputs(call, AT_ONCE)]
    kind.properties |= {str(each["name"]): each for each in made}
    return completed(call, [*made], [], 201)


def batch_archive_properties(call: Call) -> Answer:
    kind = call.kind("schema write")
    names = [records.input_id(each, "name") for each in records.inputs(call, AT_ONCE)]
    for name in names:
        if name in kind.properties:
            _archive(call, kind, name)
    return EMPTY


def batch_read_properties(call: Call) -> Answer:
    kind = call.kind("schema read")
    names = [records.input_id(each, "name") for each in records.inputs(call, AT_ONCE)]
    results: list[JSON] = [kind.properties[name] for name in names if name in kind.properties]
    missing: list[JSON] = [name for name in names if name not in kind.properties]
    gone = not_found("Some properties do not exist.")
    errors: list[JSON] = [records.problem(gone, {"name": missing})] if missing else []
    return completed(call, results, errors, 200)


# --- groups -----------------------------------------------------------------------------


def list_groups(call: Call) -> Answer:
    return 200, {"results": [*call.kind("schema read").groups.values()]}


def read_group(call: Call) -> Answer:
    return 200, _group(call, call.kind("schema read"))


def _group(call: Call, kind: ObjectKind) -> Definition:
    if call.variables["group"] not in kind.groups:
        raise not_found(f"Property group {call.variables['group']} does not exist")
    return kind.groups[call.variables["group"]]


def create_group(call: Call) -> Answer:
    kind, name = call.kind("schema write"), records.input_id(call.body, "name")
    if name in kind.groups:
        raise ApiError(409, f"Property group {name} already exists.", "OBJECT_ALREADY_EXISTS")
    given: Definition = {n: v for n, v in call.body.items() if n in ("label", "displayOrder")}
    kind.groups[name] = {"label": name, "displayOrder": -1, **given, "name": name,
                         "archived": False}  # fmt: skip
    return 201, kind.groups[name]


def update_group(call: Call) -> Answer:
    found = _group(call, call.kind("schema write"))
    found |= {n: call.body[n] for n in ("label", "displayOrder") if n in call.body}
    return 200, found


def archive_group(call: Call) -> Answer:
    kind = call.kind("schema write")
    del kind.groups[as_text(_group(call, kind)["name"])]
    return EMPTY


PATHS: Final[list[Path]] = below(
    ("/crm/v3/properties", "/crm/properties/{version}"),
    (
        ("GET", "/{type}", list_properties),
        ("POST", "/{type}", create_property),
        ("GET", "/{type}/{name}", read_property),
        ("PATCH", "/{type}/{name}", update_property),
        ("DELETE", "/{type}/{name}", archive_property),
        ("POST", "/{type}/batch/create", batch_create_properties),
        ("POST", "/{type}/batch/archive", batch_archive_properties),
        ("POST", "/{type}/batch/read", batch_read_properties),
        ("GET", "/{type}/groups", list_groups),
        ("POST", "/{type}/groups", create_group),
        ("GET", "/{type}/groups/{group}", read_group),
        ("PATCH", "/{type}/groups/{group}", update_group),
        ("DELETE", "/{type}/groups/{group}", archive_group),
    ),
)

"""The little of v1 and v2 that older integrations still send: a contact, a company, a deal.

Their shapes are others: properties are a list, an id is a number under another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.hubspot.sandbox import records
from providers.hubspot.sandbox.errors import invalid
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Handler, Path
from providers.hubspot.sandbox.state import ObjectKind, Record
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON


def _properties(body: Mapping[str, JSON]) -> dict[str, JSON]:
    """`[{"property": "email", "value": …}]`, or with "name" for companies and deals."""
    listed = body.get("properties")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise invalid("Invalid input JSON: properties must be a list")
    return {
        as_text(each.get("property") or each.get("name")): each.get("value")
        for each in listed
        if isinstance(each, dict)
    }


def _shown(call: Call, record: Record, id_name: str) -> Answer:
    properties: dict[str, JSON] = {
        name: {"value": value, "versions": []}
        for name, value in record.properties.items()
        if value is not None
    }
    return 200, {
        id_name: int(record.id),
        "portalId": call.portal.id,
        "isDeleted": record.archived is not None,
        "properties": properties,
    }


def _handlers(type_id: str, id_name: str) -> dict[str, Handler]:
    def kind_of(call: Call) -> ObjectKind:
        return call.portal.kinds[type_id]

    def create(call: Call) -> Answer:
        given: dict[str, JSON] = {"properties": _properties(call.body)}
        made = records.make(call, kind_of(call), records.draft(call, kind_of(call), given))
        return _shown(call, made, id_name)

    def read(call: Call) -> Answer:
        found = records.live(kind_of(call), call.variables["id"])
        return _shown(call, found, id_name)

    def update(call: Call) -> Answer:
        kind, found = kind_of(call), records.live(kind_of(call), call.variables["id"])
        given: dict[str, JSON] = {"properties": _properties(call.body)}
        records.write(call, kind, found, records.change(call, kind, found, given))
        return EMPTY if type_id == "0-1" else _shown(call, found, id_name)

    def archive(call: Call) -> Answer:
        kind, found = kind_of(call), records.live(kind_of(call), call.variables["id"])
        records.archive(call, kind, found)
        return 200, {id_name: int(found.id), "deleted": True, "reason": "OK"}

    return {"create": create, "read": read, "update": update, "archive": archive}


_CONTACT: Final = _handlers("0-1", "vid")
_COMPANY: Final = _handlers("0-2", "companyId")
_DEAL: Final = _handlers("0-3", "dealId")

PATHS: Final[list[Path]] = [
    ("POST", "/contacts/v1/contact", _CONTACT["create"]),
    ("GET", "/contacts/v1/contact/vid/{id}/profile", _CONTACT["read"]),
    ("POST", "/contacts/v1/contact/vid/{id}/profile", _CONTACT["update"]),
    ("DELETE", "/contacts/v1/contact/vid/{id}", _CONTACT["archive"]),
    ("POST", "/companies/v2/companies", _COMPANY["create"]),
    ("GET", "/companies/v2/companies/{id}", _COMPANY["read"]),
    ("PUT", "/companies/v2/companies/{id}", _COMPANY["update"]),
    ("DELETE", "/companies/v2/companies/{id}", _COMPANY["archive"]),
    ("POST", "/deals/v1/deal", _DEAL["create"]),
    ("GET", "/deals/v1/deal/{id}", _DEAL["read"]),
    ("PUT", "/deals/v1/deal/{id}", _DEAL["update"]),
    ("DELETE", "/deals/v1/deal/{id}", _DEAL["archive"]),
]

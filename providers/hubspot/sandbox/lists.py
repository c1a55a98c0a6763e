"""Static lists and their members. Dynamic lists are kept, but find nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from providers.hubspot.sandbox.errors import invalid, not_found
from providers.hubspot.sandbox.objects import page
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import Definition, ObjectKind, stamp
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

_HIDDEN: Final = "members"


def _shown(found: Definition) -> Definition:
    return {n: v for n, v in found.items() if n != _HIDDEN}


def _list(call: Call) -> Definition:
    found = call.portal.lists.get(call.variables["list"])
    if found is None:
        raise not_found(f"List does not exist with ID {call.variables['list']}.")
    return found


def create(call: Call) -> Answer:
    """POST /crm/v3/lists."""
    call.need("crm.lists.write")
    name, type_id = as_text(call.body.get("name")), as_text(call.body.get("objectTypeId"))
    kind = call.portal.find(type_id)
    processing = as_text(call.body.get("processingType"))
    if not name or kind is None or processing not in ("MANUAL", "DYNAMIC", "SNAPSHOT"):
        raise invalid("Invalid input JSON: name, objectTypeId and processingType are required")
    list_id = str(call.portal.number())
    made: Definition = {
        "listId": list_id,
        "listVersion": 1,
        "name": name,
        "objectTypeId": kind.id,
        "processingType": processing,
        "processingStatus": "COMPLETE",
        "createdAt": stamp(call.now),
        "updatedAt": stamp(call.now),
        "createdById": str(call.token.user),
        "size": 0,
        _HIDDEN: {},
    }
    call.portal.lists[list_id] = made
    return 200, {"list": _shown(made)}


def read(call: Call) -> Answer:
    call.need("crm.lists.read")
    return 200, {"list": _shown(_list(call))}


def read_several(call: Call) -> Answer:
    call.need("crm.lists.read")
    ids = call.options("listIds")
    return 200, {"lists": [_shown(v) for k, v in call.portal.lists.items() if k in ids]}


def search(call: Call) -> Answer:
    call.need("crm.lists.read")
    wanted = as_text(call.body.get("query")).lower()
    found: list[JSON] = [
        _shown(each)
        for each in call.portal.lists.values()
        if wanted in as_text(each["name"]).lower()
    ]
    return 200, {"lists": found, "total": len(found), "offset": len(found), "hasMore": False}


def rename(call: Call) -> Answer:
    call.need("crm.lists.write")
    found = _list(call)
    found |= {"name": call.option("listName") or found["name"], "updatedAt": stamp(call.now)}
    return 200, {"updatedList": _shown(found)}


def delete(call: Call) -> Answer:
    call.need("crm.lists.write")
    del call.portal.lists[as_text(_list(call)["listId"])]
    return EMPTY


# --- members ----------------------------------------------------------------------------


def _members(found: Definition) -> dict[str, JSON]:
    members = found[_HIDDEN]
    return members if isinstance(members, dict) else {}


def members(call: Call) -> Answer:
    call.need("crm.lists.read")
    found = _members(_list(call))
    limit = page(call, 250, 100)
    results: list[JSON] = [
        {"recordId": key, "membershipTimestamp": moment} for key, moment in found.items()
    ]
    return 200, {"results": results[:limit], "total": len(results)}


def add(call: Call) -> Answer:
    return _changed(call, _ids(call.any_body), [])


def remove(call: Call) -> Answer:
    return _changed(call, [], _ids(call.any_body))


def add_and_remove(call: Call) -> Answer:
    return _changed(
        call, _ids(call.body.get("recordIdsToAdd")), _ids(call.body.get("recordIdsToRemove"))
    )


def remove_all(call: Call) -> Answer:
    call.need("crm.lists.write")
    found = _list(call)
    found |= {_HIDDEN: {}, "size": 0}
    return EMPTY


def _ids(value: JSON) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid("Invalid input JSON: a list of record ids was expected")
    return [as_text(each) for each in value]


def _changed(call: Call, added: Sequence[str], removed: Sequence[str]) -> Answer:
    call.need("crm.lists.write")
    found = _list(call)
    if found["processingType"] == "DYNAMIC":
        raise invalid("The members of a dynamic list cannot be set")
    kind: ObjectKind = call.portal.kinds[as_text(found["objectTypeId"])]
    present = _members(found)
    new = [key for key in added if key in kind.records and key not in present]
    gone = [key for key in removed if key in present]
    for key in new:
        present[key] = stamp(call.now)
    for key in gone:
        del present[key]
    found["size"] = len(present)
    missing: list[JSON] = [key for key in (*added, *removed) if key not in kind.records]
    return 200, {
        "recordsIdsAdded": [*new],
        "recordIdsRemoved": [*gone],
        "recordIdsMissing": missing,
    }


PATHS: Final[list[Path]] = below(
    ("/crm/v3/lists", "/crm/lists/{version}"),
    (
        ("GET", "", read_several),
        ("POST", "", create),
        ("POST", "/search", search),
        ("GET", "/{list}", read),
        ("DELETE", "/{list}", delete),
        ("PUT", "/{list}/update-list-name", rename),
        ("GET", "/{list}/memberships", members),
        ("DELETE", "/{list}/memberships", remove_all),
        ("PUT", "/{list}/memberships/add", add),
        ("PUT", "/{list}/memberships/remove", remove),
        ("PUT", "/{list}/memberships/add-and-remove", add_and_remove),
    ),
)

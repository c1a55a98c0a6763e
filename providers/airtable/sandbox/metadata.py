"""Bases, tables and fields: read, created and altered; and whose token this is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.edits import Edits
from providers.airtable.sandbox.errors import Refusal, invalid, not_found, refusal
from providers.airtable.sandbox.payloads import publish
from providers.airtable.sandbox.state import BaseState, FieldState, TableState, iso
from providers.record import JSON

PAGE: Final = 1000


def whoami(call: Call) -> JSON:
    """The token's user and scopes."""
    answer: dict[str, JSON] = {"id": call.token.user}
    scopes = call.token.scopes
    if scopes is not None:
        answer["scopes"] = list(scopes)
    if scopes is None or "user.email:read" in scopes:
        answer["email"] = call.token.email
    return answer


def bases(call: Call) -> JSON:
    """The token's bases, a thousand at a time."""
    query = dict(call.request.query)
    mine = [b for i in call.token.bases if (b := call.world.bases.get(i))]
    ids = [base.id for base in mine]
    offset = query.get("offset")
    start = ids.index(offset) if offset in ids else 0
    answer: dict[str, JSON] = {
        "bases": [
            {"id": b.id, "name": b.name, "permissionLevel": call.token.bases[b.id]}
            for b in mine[start : start + PAGE]
        ]
    }
    if start + PAGE < len(mine):
        answer["offset"] = ids[start + PAGE]
    return answer


def base(call: Call) -> JSON:
    """One base and who works on it, as enterprise accounts can ask."""
    found = call.base
    return {
        "id": found.id,
        "name": found.name,
        "createdTime": iso(found.created),
        "permissionLevel": call.token.bases[found.id],
        "workspaceId": found.workspace,
        "interfaces": {},
        "groupCollaborators": {"baseCollaborators": [], "workspaceCollaborators": []},
        "individualCollaborators": {"baseCollaborators": [], "workspaceCollaborators": []},
        "inviteLinks": {"baseInviteLinks": [], "workspaceInviteLinks": []},
    }


def tables(call: Call) -> JSON:
    include = [v for k, v in call.request.query if k.partition("[")[0] == "include"]
    visible = "visibleFieldIds" in include
    return {"tables": [show_table(t, visible=visible) for t in call.base.tables.values()]}


def create_base(call: Call) -> JSON:
    """A new base with its tables, which the token may use. Raises Refusal."""
    name, workspace, wanted = (call.asked.get(k) for k in ("name", "workspaceId", "tables"))
    if not (isinstance(name, str) and isinstance(workspace, str) and isinstance(wanted, list)):
        raise invalid()
    if not wanted:
        raise invalid()
    made = BaseState(call.world.new_id("app"), name, workspace, call.now)
    for item in wanted:
        _new_table(call, made, item)
    call.world.bases[made.id] = made
    call.token.bases[made.id] = "create"
    return {"id": made.id, "tables": [show_table(t) for t in made.tables.values()]}


def create_table(call: Call) -> JSON:
    made = _new_table(call, call.base, call.asked)
    publish(Edits(call, created_tables=[made.id]))
    return show_table(made)


def update_table(call: Call) -> JSON:
    """Renames or describes a table. Raises Refusal."""
    table = call.table
    edits = Edits(call)
    before = {"name": table.name, "description": table.description}
    name, description = call.asked.get("name"), call.asked.get("description")
    if isinstance(name, str) and name != table.name:
        if call.base.find_table(name) is not None:
            raise _duplicate("TABLE", name)
        table.name = name
    if isinstance(description, str):
        table.description = description
    after = {"name": table.name, "description": table.description}
    edits.log(table).changed_metadata = {"current": {**after}, "previous": {**before}}
    publish(edits)
    return show_table(table)


def create_field(call: Call) -> JSON:
    """A new field; a link also makes its inverse. Raises Refusal."""
    table = call.table
    made = _new_field(call, table, call.asked)
    _add_inverse(call, table, made)
    edits = Edits(call)
    edits.log(table).created_fields[made.id] = {"name": made.name, "type": made.type}
    publish(edits)
    return show_field(made)


def update_field(call: Call) -> JSON:
    """Renames or describes a field. Raises Refusal."""
    table = call.table
    field = table.fields.get(call.variables["field"])
    if field is None:
        raise not_found(as_string=call.switches.missing_as_string)
    before = {"name": field.name, "type": field.type}
    name, description = call.asked.get("name"), call.asked.get("description")
    if isinstance(name, str) and name != field.name:
        if table.find_field(name) is not None:
            raise _duplicate("FIELD", name)
        field.name = name
    if isinstance(description, str):
        field.description = description
    edits = Edits(call)
    after = {"name": field.name, "type": field.type}
    edits.log(table).changed_fields[field.id] = {"current": {**after}, "previous": {**before}}
    publish(edits)
    return show_field(field)


def unlisted(call: Call) -> JSON:
    """Deeper metadata paths: nothing is there."""
    raise not_found(as_string=call.switches.missing_as_string)


def show_table(table: TableState, *, visible: bool = False) -> JSON:
    """A table as metadata answers have it."""
    views: list[JSON] = [
        {**view, "visibleFieldIds": list(table.fields)} if visible else {**view}
        for view in table.views
    ]
    shown: dict[str, JSON] = {
        "id": table.id,
        "name": table.name,
        "primaryFieldId": table.primary,
        "fields": [show_field(field) for field in table.fields.values()],
        "views": views,
    }
    if table.description:
        shown["description"] = table.description
    return shown


def show_field(field: FieldState) -> JSON:
    """A field as metadata answers have it."""
    shown: dict[str, JSON] = {"type": field.type, "id": field.id, "name": field.name}
    if field.options:
        shown["options"] = {k: v for k, v in field.options.items() if k != "aggregation"}
    if field.description:
        shown["description"] = field.description
    return shown


def _duplicate(what: str, name: str) -> Refusal:
    return refusal(422, f"DUPLICATE_{what}_NAME", f'There is a "{name}" already')


def _new_table(call: Call, base: BaseState, asked: JSON) -> TableState:
    name, fields = (
        (asked.get(k) for k in ("name", "fields")) if isinstance(asked, dict) else (None,) * 2
    )
    if not (isinstance(name, str) and name and isinstance(fields, list) and fields):
        raise invalid()
    if base.find_table(name) is not None:
        raise _duplicate("TABLE", name)
    made = TableState(call.world.new_id("tbl"), name, primary="")
    for item in fields:
        if not isinstance(item, dict):
            raise invalid()
        _new_field(call, made, item)
    made.primary = next(iter(made.fields))
    made.views.append({"id": call.world.new_id("viw"), "name": "Grid view", "type": "grid"})
    base.tables[made.id] = made
    return made


def _new_field(call: Call, table: TableState, asked: Mapping[str, JSON]) -> FieldState:
    name, kind = asked.get("name"), asked.get("type")
    if not (isinstance(name, str) and name and isinstance(kind, str) and kind):
        raise invalid()
    if table.find_field(name) is not None:
        raise _duplicate("FIELD", name)
    options = asked.get("options")
    description = asked.get("description")
    made = FieldState(
        id=call.world.new_id("fld"),
        name=name,
        type=kind,
        options={**options} if isinstance(options, dict) else {},
        description=description if isinstance(description, str) else None,
    )
    if kind in ("singleSelect", "multipleSelects"):
        made.options["choices"] = [
            {"id": call.world.new_id("sel"), "color": "blueLight2", **choice}
            for choice in made.choices
        ]
    table.fields[made.id] = made
    return made


def _add_inverse(call: Call, table: TableState, link: FieldState) -> None:
    """A new link field makes its inverse in the table that it leads to."""
    there = call.base.tables.get(link.option("linkedTableId"))
    if link.type != "multipleRecordLinks":
        return
    if there is None:
        del table.fields[link.id]
        raise invalid()
    inverse = FieldState(
        id=call.world.new_id("fld"),
        name=_free_name(there, table.name),
        type=link.type,
        options={"linkedTableId": table.id, "inverseLinkFieldId": link.id, "isReversed": False},
    )
    there.fields[inverse.id] = inverse
    link.options["inverseLinkFieldId"] = inverse.id


def _free_name(table: TableState, wanted: str) -> str:
    name, number = wanted, 1
    while table.find_field(name) is not None:
        number += 1
        name = f"{wanted} {number}"
    return name

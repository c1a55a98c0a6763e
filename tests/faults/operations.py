"""The calls of the load: what they ask for, and what an answer to them says. Pure.

    Plan    one call: method, target, body, and the columns that it writes
    Pool    the records that are known to be there, to be written to
    draw    the next call, by chance

Every value is made of its operation's name, so that nobody else writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from providers.catalog import PROVIDERS
from tests.faults.history import Place, Values

_HOT: Final = 24  # records that most calls are about, so that calls meet
_FULL: Final = 240  # records from which on as many are deleted as made
_BASE: Final = f"/v0/{PROVIDERS['airtable'].sandbox.account}"
_CONTACTS: Final = "/crm/v3/objects/contacts"
# The API's names and the columns'.
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "airtable": {"Name": "name", "Note": "note", "Key": "key"},
    "hubspot": {n: n for n in ("email", "firstname", "lastname")},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A call. `names` are the API's names of what it writes; `ends` the records that it
    deletes."""

    provider: str
    kind: str
    method: str
    target: str
    body: bytes
    names: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()

    @property
    def is_single(self) -> bool:
        """Whether it writes one record, that it makes or names."""
        return self.kind.partition(" ")[2] in ("create", "update", "replace")


@dataclass(slots=True)
class Pool:
    """Records of one provider: id -> the value of its merge key (Key, email)."""

    records: dict[str, str] = field(default_factory=dict)

    def some(self, dice: Random, count: int) -> list[str]:
        """Up to so many different records, most of them of the newest."""
        known = list(self.records)
        most = known[-_HOT:] if dice.random() < 0.8 else known
        return dice.sample(most, min(count, len(most)))

    def learn(self, plan: Plan, answer: Any) -> None:
        """Takes note of what an answer says is there."""
        merge = "Key" if plan.provider == "airtable" else "email"
        for record, cells in _records(plan, answer):
            if merge in cells or record not in self.records:
                self.records[record] = str(cells.get(merge, self.records.get(record, "")))
        for record in plan.ends:
            self.records.pop(record, None)


def writes(plan: Plan, answer: Any) -> dict[Place, Values | None]:
    """What a 2xx answer says of each record that was written."""
    columns = COLUMNS[plan.provider]
    found: dict[Place, Values | None] = {
        (plan.provider, record): {columns[n]: cells[n] for n in plan.names if n in cells}
        for record, cells in _records(plan, answer)
    }
    return found | {(plan.provider, record): None for record in plan.ends}


def _records(plan: Plan, answer: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if plan.ends or not isinstance(answer, dict):
        return []
    inside = "fields" if plan.provider == "airtable" else "properties"
    listed = answer.get("records", answer.get("results", [answer]))
    return [(str(each["id"]), each[inside]) for each in listed if inside in each]


def draw(
    provider: str, table: str, pool: Pool, dice: Random, operation: str, *, named: bool = False
) -> Plan:
    """The next call. `table` is Airtable's, by its id. `named`: only calls that make
    records or name them by their ids."""
    making, changing, ending = _KINDS[provider]
    if named:
        changing = [make for make in changing if make not in _BY_VALUE]
    if len(pool.records) < _HOT:
        kinds: Sequence[_Make] = making
    else:
        ends = ending if dice.random() < (0.35 if len(pool.records) > _FULL else 0.12) else ()
        kinds = ends or (changing if dice.random() < 0.7 else making)
    return dice.choice(kinds)(_Scene(table, pool, dice, operation))


@dataclass(frozen=True, slots=True)
class _Scene:
    table: str
    pool: Pool
    dice: Random
    operation: str

    def value(self, n: int = 0) -> str:
        return f"{self.operation}.{n}"

    def some(self, count: int = 3) -> list[str]:
        return self.pool.some(self.dice, self.dice.randint(1, count))


_Make = Callable[[_Scene], Plan]

# --- Airtable ---------------------------------------------------------------------------

_ALL: Final = ("Name", "Note", "Key")


def _airtable(
    scene: _Scene, kind: str, method: str, path: str, body: Any, names: tuple[str, ...] = ()
) -> Plan:
    content = json.dumps(body).encode() if body is not None else b""
    target = f"{_BASE}/{scene.table}{path}"
    return Plan("airtable", f"airtable {kind}", method, target, content, names)


def _cells(scene: _Scene, n: int = 0) -> dict[str, str]:
    return dict.fromkeys(_ALL, scene.value(n))


def _make_task(scene: _Scene) -> Plan:
    return _airtable(scene, "create", "POST", "", {"fields": _cells(scene)}, _ALL)


def _make_tasks(scene: _Scene) -> Plan:
    records = [{"fields": _cells(scene, n)} for n in range(scene.dice.randint(2, 4))]
    return _airtable(scene, "create many", "POST", "", {"records": records}, _ALL)


def _change_task(scene: _Scene) -> Plan:
    name = scene.dice.choice(("Name", "Note"))
    body = {"fields": {name: scene.value()}}
    return _airtable(scene, "update", "PATCH", f"/{scene.some(1)[0]}", body, (name,))


def _replace_task(scene: _Scene) -> Plan:
    body = {"fields": _cells(scene)}
    return _airtable(scene, "replace", "PUT", f"/{scene.some(1)[0]}", body, _ALL)


def _change_tasks(scene: _Scene) -> Plan:
    records = [
        {"id": record, "fields": {"Note": scene.value(n)}}
        for n, record in enumerate(scene.some())
    ]
    return _airtable(scene, "update many", "PATCH", "", {"records": records}, ("Note",))


def _upsert_task(scene: _Scene) -> Plan:
    known = [key for record in scene.some(1) if (key := scene.pool.records[record])]
    key = scene.dice.choice([*known, scene.value()])
    body = {
        "performUpsert": {"fieldsToMergeOn": ["Key"]},
        "records": [{"fields": {"Key": key, "Note": scene.value()}}],
    }
    return _airtable(scene, "upsert", "PATCH", "", body, ("Note",))


def _end_task(scene: _Scene) -> Plan:
    (record,) = scene.some(1)
    plan = _airtable(scene, "delete", "DELETE", f"/{record}", None)
    return Plan(plan.provider, plan.kind, plan.method, plan.target, b"", ends=(record,))


def _end_tasks(scene: _Scene) -> Plan:
    ids = scene.some()
    query = "&".join(f"records[]={record}" for record in ids)
    plan = _airtable(scene, "delete many", "DELETE", f"?{query}", None)
    return Plan(plan.provider, plan.kind, plan.method, plan.target, b"", ends=tuple(ids))


# --- HubSpot ----------------------------------------------------------------------------

_NAMES: Final = ("email", "firstname", "lastname")


def _hubspot(kind: str, method: str, path: str, body: Any, names: tuple[str, ...] = ()) -> Plan:
    content = json.dumps(body).encode() if body is not None else b""
    return Plan("hubspot", f"hubspot {kind}", method, f"{_CONTACTS}{path}", content, names)


def _person(scene: _Scene, n: int = 0) -> dict[str, str]:
    value = scene.value(n)
    return {"email": f"{value}@faults.example", "firstname": value, "lastname": value}


def _make_contact(scene: _Scene) -> Plan:
    return _hubspot("create", "POST", "", {"properties": _person(scene)}, _NAMES)


def _make_contacts(scene: _Scene) -> Plan:
    inputs = [{"properties": _person(scene, n)} for n in range(scene.dice.randint(2, 4))]
    return _hubspot("create many", "POST", "/batch/create", {"inputs": inputs}, _NAMES)


def _change_contact(scene: _Scene) -> Plan:
    name = scene.dice.choice(("firstname", "lastname"))
    body = {"properties": {name: scene.value()}}
    return _hubspot("update", "PATCH", f"/{scene.some(1)[0]}", body, (name,))


def _change_by_email(scene: _Scene) -> Plan:
    email = scene.pool.records[scene.some(1)[0]]
    body = {"properties": {"lastname": scene.value()}}
    path = f"/{email}?idProperty=email"
    return _hubspot("update by email", "PATCH", path, body, ("lastname",))


def _change_contacts(scene: _Scene) -> Plan:
    inputs = [
        {"id": record, "properties": {"lastname": scene.value(n)}}
        for n, record in enumerate(scene.some())
    ]
    body = {"inputs": inputs}
    return _hubspot("update many", "POST", "/batch/update", body, ("lastname",))


def _upsert_contact(scene: _Scene) -> Plan:
    email = scene.pool.records[scene.some(1)[0]]
    if scene.dice.random() < 0.5:
        email = f"{scene.value()}@faults.example"
    one = {"idProperty": "email", "id": email, "properties": {"firstname": scene.value()}}
    body = {"inputs": [one]}
    return _hubspot("upsert", "POST", "/batch/upsert", body, ("firstname",))


def _end_contact(scene: _Scene) -> Plan:
    (record,) = scene.some(1)
    path = f"{_CONTACTS}/{record}"
    return Plan("hubspot", "hubspot archive", "DELETE", path, b"", ends=(record,))


def _end_contacts(scene: _Scene) -> Plan:
    ids = scene.some()
    body = json.dumps({"inputs": [{"id": record} for record in ids]}).encode()
    path = f"{_CONTACTS}/batch/archive"
    return Plan("hubspot", "hubspot archive many", "POST", path, body, ends=tuple(ids))


_BY_VALUE: Final = (_upsert_task, _change_by_email, _upsert_contact)
_KINDS: Final[Mapping[str, tuple[Sequence[_Make], Sequence[_Make], Sequence[_Make]]]] = {
    "airtable": (
        (_make_task, _make_tasks),
        (_change_task, _change_task, _replace_task, _change_tasks, _upsert_task),
        (_end_task, _end_tasks),
    ),
    "hubspot": (
        (_make_contact, _make_contacts),
        (_change_contact, _change_contact, _change_by_email, _change_contacts, _upsert_contact),
        (_end_contact, _end_contacts),
    ),
}

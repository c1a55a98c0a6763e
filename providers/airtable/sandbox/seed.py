"""What a fresh sandbox holds: one base, two linked tables, a few records, two tokens, and
an OAuth app with a grant of its own.

"Tasks" has a field of almost every type; "Projects" is what its links lead to.
"""

from __future__ import annotations

from typing import Final

from providers.airtable.sandbox.state import (
    BaseState,
    FieldState,
    GrantState,
    RecordState,
    TableState,
    TokenState,
    World,
)
from providers.record import JSON

BASE: Final = "appDemo0000000000"
TASKS: Final = "tblTasks000000000"
PROJECTS: Final = "tblProjects000000"
TOKEN: Final = "patDemo0000000000.demo"  # noqa: S105  # opens the simulator only
READER_TOKEN: Final = "patReader00000000.demo"  # noqa: S105  # opens the simulator only
OAUTH_TOKEN: Final = "oaaDemo0000000000.v1.demo-access"  # noqa: S105  # opens the simulator only
REFRESH_TOKEN: Final = "oarDemo0000000000.v1.demo-refresh"  # noqa: S105  # opens the simulator only
CLIENT_ID: Final = "00000000-0000-4000-8000-000000000001"
CLIENT_SECRET: Final = "demo-client-secret-opens-the-simulator"  # noqa: S105  # opens the simulator only
LINK: Final = "fldProjects000000"  # Tasks to Projects
USER: Final = "usrDemo0000000000"

# 2026-11-01T09:00:00Z, when everything that is seeded was created
SEEDED: Final = 1_793_523_600.0


def seeded_world() -> World:
    """A world with the demo base."""
    world = World()
    world.tokens[TOKEN] = TokenState(
        TOKEN, USER, "demo@example.com", "Demo User", {BASE: "create"}
    )
    world.tokens[READER_TOKEN] = TokenState(
        READER_TOKEN,
        "usrReader00000000",
        "reader@example.com",
        "Read Only",
        {BASE: "read"},
        ["data.records:read", "schema.bases:read"],
    )
    _seed_grant(world)
    base = BaseState(BASE, "Demo", "wspDemo0000000000", SEEDED)
    world.bases[BASE] = base
    for table in (_tasks(), _projects()):
        base.tables[table.id] = table
    _seed_records(world, base)
    return world


def _seed_grant(world: World) -> None:
    scopes = ["data.records:read", "data.records:write", "schema.bases:read", "webhook:manage"]
    bases = {BASE: "create"}
    world.apps[CLIENT_ID] = CLIENT_SECRET
    world.tokens[OAUTH_TOKEN] = TokenState(
        OAUTH_TOKEN, USER, "demo@example.com", "Demo User", bases, scopes, oauth=True
    )
    world.grants.append(GrantState(CLIENT_ID, OAUTH_TOKEN, REFRESH_TOKEN))


def _field(name: str, kind: str, field_id: str = "", **options: JSON) -> FieldState:
    made = field_id or f"fld{name.replace(' ', '')}".ljust(17, "0")[:17]
    return FieldState(made, name, kind, dict(options))


def _choices(*names: str) -> list[JSON]:
    return [
        {
            "id": f"sel{name.replace(' ', '')}".ljust(17, "0")[:17],
            "name": name,
            "color": "blueLight2",
        }
        for name in names
    ]


def _result(kind: str, **options: JSON) -> JSON:
    return {"type": kind, "options": dict(options)} if options else {"type": kind}


def _table(table_id: str, name: str, fields: list[FieldState]) -> TableState:
    views: list[dict[str, JSON]] = [
        {"id": f"viw{table_id[3:]}", "name": "Grid view", "type": "grid"}
    ]
    return TableState(table_id, name, fields[0].id, {f.id: f for f in fields}, views=views)


def _tasks() -> TableState:
    return _table(
        TASKS, "Tasks", [*_texts(), *_numbers(), *_chosen(), *_linked(), *_computed()]
    )


def _texts() -> list[FieldState]:
    return [
        _field("Name", "singleLineText"),
        _field("Notes", "multilineText"),
        _field("Details", "richText"),
        _field("Email", "email"),
        _field("Website", "url"),
        _field("Phone", "phoneNumber"),
    ]


def _numbers() -> list[FieldState]:
    return [
        _field("Amount", "number", precision=2),
        _field("Price", "currency", precision=2, symbol="$"),
        _field("Progress", "percent", precision=0),
        _field("Effort", "duration", durationFormat="h:mm"),
        _field("Rating", "rating", max=5, icon="star", color="yellowBright"),
        _field("Done", "checkbox", icon="check", color="greenBright"),
        _field("Due", "date", dateFormat={"name": "iso", "format": "YYYY-MM-DD"}),
        _field(
            "Starts",
            "dateTime",
            dateFormat={"name": "iso", "format": "YYYY-MM-DD"},
            timeFormat={"name": "24hour", "format": "HH:mm"},
            timeZone="utc",
        ),
    ]


def _chosen() -> list[FieldState]:
    return [
        _field("Status", "singleSelect", choices=_choices("Todo", "In progress", "Done")),
        _field("Tags", "multipleSelects", choices=_choices("red", "green", "blue")),
        _field("Owner", "singleCollaborator"),
        _field("Watchers", "multipleCollaborators"),
        _field("Files", "multipleAttachments", isReversed=False),
        _field("Barcode", "barcode"),
    ]


def _linked() -> list[FieldState]:
    return [
        _field(
            "Projects",
            "multipleRecordLinks",
            LINK,
            linkedTableId=PROJECTS,
            inverseLinkFieldId="fldTasks000000000",
            isReversed=False,
            prefersSingleRecordLink=False,
        ),
        _field(
            "Budgets",
            "multipleLookupValues",
            isValid=True,
            recordLinkFieldId=LINK,
            fieldIdInLinkedTable="fldBudget00000000",
            result=_result("currency", precision=0, symbol="$"),
        ),
        _field(
            "Total budget",
            "rollup",
            isValid=True,
            recordLinkFieldId=LINK,
            fieldIdInLinkedTable="fldBudget00000000",
            referencedFieldIds=["fldBudget00000000"],
            result=_result("number", precision=0),
            aggregation="SUM",
        ),
        _field("Project count", "count", isValid=True, recordLinkFieldId=LINK),
    ]


def _computed() -> list[FieldState]:
    return [
        _field(
            "Cost",
            "formula",
            isValid=True,
            formula="{fldAmount00000000} * {fldPrice000000000}",
            referencedFieldIds=["fldAmount00000000", "fldPrice000000000"],
            result=_result("number", precision=2),
        ),
        _field("Number", "autoNumber"),
        _field("Created", "createdTime", result=_result("dateTime")),
        _field("Modified", "lastModifiedTime", isValid=True, result=_result("dateTime")),
        _field("Created by", "createdBy"),
        _field("Modified by", "lastModifiedBy"),
        _field("Open", "button", label="Open"),
        _field("Summary", "aiText", prompt=[]),
    ]


def _projects() -> TableState:
    return _table(
        PROJECTS,
        "Projects",
        [
            _field("Name", "singleLineText", "fldProjectName000"),
            _field("Budget", "currency", precision=0, symbol="$"),
            _field(
                "Tasks",
                "multipleRecordLinks",
                linkedTableId=TASKS,
                inverseLinkFieldId="fldProjects000000",
                isReversed=False,
                prefersSingleRecordLink=False,
            ),
            _field("Task count", "count", isValid=True, recordLinkFieldId="fldTasks000000000"),
        ],
    )


def _seed_records(world: World, base: BaseState) -> None:
    owner = world.person(USER)
    apollo, gemini = "recApollo00000000", "recGemini00000000"
    plan, write = "recPlan0000000000", "recWrite000000000"
    _record(base, PROJECTS, apollo, Name="Apollo", Budget=1200, Tasks=[plan, write])
    _record(base, PROJECTS, gemini, Name="Gemini", Budget=300)
    _record(
        base,
        TASKS,
        plan,
        Name="Plan the launch",
        Amount=2.5,
        Price=40,
        Progress=0.5,
        Done=True,
        Due="2026-11-30",
        Starts="2026-11-21T07:00:00.000Z",
        Status="In progress",
        Tags=["red", "blue"],
        Owner=owner,
        Projects=[apollo],
    )
    _record(base, TASKS, write, Name="Write the report", Status="Todo", Projects=[apollo])
    _record(base, TASKS, "recCall0000000000", Name="Call back", Phone="+49 30 123456")


def _record(base: BaseState, table_id: str, record_id: str, **cells: JSON) -> None:
    table = base.tables[table_id]
    stored = {f.id: cells[f.name] for f in table.fields.values() if f.name in cells}
    table.records[record_id] = RecordState(
        id=record_id,
        created=SEEDED,
        modified=SEEDED,
        number=table.next_number,
        author=USER,
        editor=USER,
        cells=stored,
        touched=dict.fromkeys(stored, SEEDED),
    )
    table.next_number += 1

"""Calls that write, for each provider: every kind once, and as many as one wants at random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from driving import Account
from hypothesis import strategies as st

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE
from providers.http import Request, headers
from providers.hubspot.provider import HUBSPOT

Body = Any
Strategy = st.SearchStrategy[Any]

JSON_HEADERS = headers(("Content-Type", "application/json"))


def call(provider: str, line: str, body: Body = None) -> Request:
    """A call from "METHOD /path", where Airtable's paths are below the base."""
    method, _, path = line.partition(" ")
    content = b"" if body is None else json.dumps(body).encode()
    if provider == "airtable":
        api, content_host = AIRTABLE.hosts
        host = content_host if path.endswith("/uploadAttachment") else api
        return Request(method, host, f"/v0/{BASE}{path}", JSON_HEADERS, content)
    return Request(method, HUBSPOT.hosts[0], path, JSON_HEADERS, content)


def prepared(account: Account) -> None:
    """Adds to a fresh sandbox what the calls below need."""
    if account.provider.name == "hubspot":
        for line, body in _HUBSPOT_SETUP:
            answer = account.call(call("hubspot", line, body))
            assert answer.ok, answer.body


# --- Airtable ---------------------------------------------------------------------------

PLAN, WRITE, CALL = "recPlan0000000000", "recWrite000000000", "recCall0000000000"
APOLLO, GEMINI = "recApollo00000000", "recGemini00000000"

# One value of every type that can be written, as an answer spells it.
CELLS: dict[str, Body] = {
    "Name": "Paint the fence",
    "Notes": "green\nor red",
    "Details": "**bold**",
    "Email": "ada@example.com",
    "Website": "https://example.com/",
    "Phone": "+49 30 123456",
    "Amount": 2.25,
    "Price": 20,
    "Progress": 0.5,
    "Effort": 3600,
    "Rating": 4,
    "Done": True,
    "Due": "2026-12-24",
    "Starts": "2026-12-24T09:30:00.000Z",
    "Status": "Done",
    "Tags": ["green", "red"],
    "Owner": {"id": "usrDemo0000000000"},
    "Watchers": [{"email": "demo@example.com"}],
    "Files": [{"url": "https://example.com/a.png", "filename": "a.png"}],
    "Barcode": {"type": "ean8", "text": "12345670"},
    "Projects": [GEMINI],
}
_EMPTIES = dict.fromkeys(CELLS) | {"Done": False, "Name": "", "Tags": []}
_FILE = {"contentType": "text/plain", "filename": "a.txt", "file": "YQ=="}

_AIRTABLE: dict[str, tuple[str, Body]] = {
    "create one, every type": ("POST /Tasks", {"fields": CELLS}),
    "create several": ("POST /Tasks", {"records": [{"fields": CELLS}, {"fields": {}}]}),
    "create by ids of fields": (
        "POST /tblTasks000000000",
        {"fields": {"fldAmount00000000": 1}},
    ),
    "empty every cell": (f"PATCH /Tasks/{PLAN}", {"fields": _EMPTIES}),
    "update one": (f"PATCH /Tasks/{PLAN}", {"fields": {"Done": False, "Projects": []}}),
    "replace one": (f"PUT /Tasks/{PLAN}", {"fields": {"Name": "Only this", "Amount": 0}}),
    "update several": (
        "PATCH /Tasks",
        {"records": [{"id": PLAN, "fields": CELLS}, {"id": CALL, "fields": {"Amount": -1}}]},
    ),
    "replace several": (
        "PUT /Projects",
        {"records": [{"id": GEMINI, "fields": {"Budget": 1}}]},
    ),
    "upsert by one field": (
        "PATCH /Tasks",
        {
            "performUpsert": {"fieldsToMergeOn": ["Name"]},
            "records": [
                {"fields": {"Name": "Call back", "Amount": 7}},
                {"fields": {"Name": "Quite new", "Done": True}},
                {"id": WRITE, "fields": {"Amount": 9}},
            ],
        },
    ),
    "upsert by an empty cell": (
        "PUT /Tasks",
        {
            "performUpsert": {"fieldsToMergeOn": ["fldName0000000000", "Amount"]},
            "records": [{"fields": {"Name": None, "Amount": 7}}],
        },
    ),
    "typecast": (
        "POST /Tasks",
        {
            "typecast": True,
            "fields": {
                "Name": 5,
                "Amount": "2.5",
                "Done": "yes",
                "Status": "New",
                "Tags": "a,b",
                "Projects": "Apollo, Vostok",
            },
        },
    ),
    "answers by id": (
        f"PATCH /Tasks/{PLAN}",
        {"returnFieldsByFieldId": True, "fields": {"Name": "x"}},
    ),
    "delete one": (f"DELETE /Tasks/{PLAN}", None),
    "delete several": (f"DELETE /Tasks?records[]={PLAN}&records%5B%5D={CALL}", None),
    "delete without brackets": (f"DELETE /Projects?records={APOLLO}&records={GEMINI}", None),
    "upload by the field's id": (f"POST /{PLAN}/fldFiles000000000/uploadAttachment", _FILE),
    "upload by the field's name": (f"POST /{PLAN}/Files/uploadAttachment", _FILE),
    "comment": (f"POST /Tasks/{PLAN}/comments", {"text": "Hello"}),
}

_AIRTABLE_FAULTS: dict[str, tuple[str, Body, str]] = {
    "nothing": ("POST /Tasks", None, "empty"),
    "no object": ("POST /Tasks", [1], "not a JSON object"),
    "no fields": ("POST /Tasks", {"records": [{"Name": "x"}]}, "`fields`"),
    "records that are none": ("POST /Tasks", {"records": ["x"]}, "not objects"),
    "no records": ("PATCH /Tasks", {"records": []}, "1 to 10"),
    "eleven": ("POST /Tasks", {"records": [{"fields": {}}] * 11}, "11 records"),
    "a near miss": ("POST /Tasks", {"fields": {"Amout": 1}}, '"Amount"'),
    "an unknown field": ("PUT /Tasks/recPlan0000000000", {"fields": {"zzz": 1}}, '"zzz"'),
    "a computed field": ("POST /Tasks", {"fields": {"Cost": 1}}, '"Cost" is computed'),
    "an automatic number": ("POST /Tasks", {"fields": {"Number": None}}, "computed"),
    "no number": ("POST /Tasks", {"fields": {"Amount": "1"}}, "takes a number"),
    "a flag for a number": ("POST /Tasks", {"fields": {"Price": True}}, "takes a number"),
    "a number for text": ("POST /Tasks", {"fields": {"Name": 1}}, "takes text"),
    "no flag": ("POST /Tasks", {"fields": {"Done": "yes"}}, "true or false"),
    "no date": ("POST /Tasks", {"fields": {"Due": 20261224}}, "takes a date"),
    "no moment": ("POST /Tasks", {"fields": {"Starts": 1}}, "takes a moment"),
    "one for a list": ("POST /Tasks", {"fields": {"Tags": "red"}}, "list of names"),
    "no links": ("POST /Tasks", {"fields": {"Projects": [1]}}, "list of record ids"),
    "no person": ("POST /Tasks", {"fields": {"Owner": "usrDemo0000000000"}}, "`email`"),
    "no people": ("POST /Tasks", {"fields": {"Watchers": {"id": "x"}}}, "list of objects"),
    "no file": ("POST /Tasks", {"fields": {"Files": [{"filename": "a"}]}}, "`url`"),
    "no barcode": ("POST /Tasks", {"fields": {"Barcode": "1"}}, "`text`"),
    "an unknown option": ("POST /Tasks", {"fields": {"Status": "done"}}, 'no option "done"'),
    "one of several options": ("POST /Tasks", {"fields": {"Tags": ["red", "x"]}}, '"x"'),
    "an update of nothing": ("PATCH /Tasks", {"records": [{"fields": {}}]}, "`id`"),
    "an id that is none": ("PATCH /Tasks", {"records": [{"id": 5, "fields": {}}]}, "`id`"),
    "merged by nothing": (
        "PATCH /Tasks",
        {"performUpsert": {}, "records": [{"fields": {}}]},
        "fieldsToMergeOn",
    ),
    "merged by what is not there": (
        "PATCH /Tasks",
        {"performUpsert": {"fieldsToMergeOn": ["Nam"]}, "records": [{"fields": {"Name": "x"}}]},
        '"Name"',
    ),
    "merged by a computed field": (
        "PATCH /Tasks",
        {"performUpsert": {"fieldsToMergeOn": ["Cost"]}, "records": [{"fields": {}}]},
        "cannot be merged",
    ),
    "deletion of nothing": ("DELETE /Tasks", None, "records[]"),
    "eleven deletions": (
        "DELETE /Tasks?" + "&".join(f"records[]=rec{n}" for n in range(11)),
        None,
        "11 records",
    ),
    "an upload of nothing": (
        f"POST /{PLAN}/fldFiles000000000/uploadAttachment",
        {"contentType": "text/plain", "file": "YQ=="},
        "`filename`",
    ),
    "an upload to another field": (
        f"POST /{PLAN}/fldName0000000000/uploadAttachment",
        _FILE,
        "no attachments",
    ),
}

_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 30),
    st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 3)),
    st.sampled_from(["", "x", "red", "Done", "5", "true", PLAN, GEMINI, "2026-12-24", "a, b"]),
    st.text(max_size=5),
    st.lists(st.sampled_from(["red", "blue", "new", GEMINI, APOLLO, 5, None]), max_size=3),
    st.fixed_dictionaries(
        {}, optional={n: st.sampled_from(["x", "", 5]) for n in ("id", "email", "url", "text")}
    ),
)
_DATES = st.sampled_from(
    ["2026-12-24", "2026-12-24T10:00:00Z", "2026-12-24T10:00:00+02:00", "2026-12-24 10:00", "x"]
)


@st.composite
def _cells(draw: st.DrawFn) -> Mapping[str, Body]:
    names = draw(
        st.lists(
            st.sampled_from([*CELLS, *CELLS, "Cost", "Number", "nope", "fldAmount00000000"]),
            max_size=4,
            unique=True,
        )
    )
    given = {}
    for name in names:
        natural = st.just(CELLS[name]) if name in CELLS else _JUNK
        given[name] = draw(st.one_of(natural, natural, _JUNK, _DATES))
    return given


def _tasks() -> Strategy:
    ids = st.sampled_from([PLAN, WRITE, CALL, "recNobody00000000"])
    fields = st.fixed_dictionaries({"fields": _cells()})
    named = st.fixed_dictionaries({"id": ids, "fields": _cells()})
    options = st.fixed_dictionaries(
        {},
        optional={"typecast": st.booleans(), "returnFieldsByFieldId": st.booleans()},
    )
    many = st.lists(fields, max_size=3)
    by_id = st.lists(named, max_size=3, unique_by=lambda r: r["id"])
    merge = st.sampled_from([["Name"], ["Name", "Amount"], [], "Name", ["Tags"], ["Cost"]])
    return st.one_of(
        st.tuples(st.just("POST /Tasks"), fields, options),
        st.tuples(st.just("POST /Tasks"), st.fixed_dictionaries({"records": many}), options),
        st.tuples(
            ids.flatmap(lambda i: st.sampled_from([f"PATCH /Tasks/{i}", f"PUT /Tasks/{i}"])),
            fields,
            options,
        ),
        st.tuples(
            st.sampled_from(["PATCH /Tasks", "PUT /Tasks"]),
            st.fixed_dictionaries({"records": by_id}),
            options,
        ),
        st.tuples(
            st.just("PATCH /Tasks"),
            st.fixed_dictionaries(
                {
                    "records": many,
                    "performUpsert": st.fixed_dictionaries({"fieldsToMergeOn": merge}),
                }
            ),
            options,
        ),
        st.tuples(
            st.lists(ids, max_size=3, unique=True).map(
                lambda found: "DELETE /Tasks?" + "&".join(f"records[]={i}" for i in found)
            ),
            st.none(),
            st.none(),
        ),
    ).map(lambda part: (part[0], None if part[1] is None else {**part[1], **(part[2] or {})}))


# --- HubSpot ----------------------------------------------------------------------------

V3, V4 = "/crm/v3/objects", "/crm/v4/objects"
ENGINES, COMPILERS, CHARLES, GRACE, MARY, ENGINE, COMPILER = (
    f"5000000000{n}" for n in range(1, 8)
)
_HUBSPOT_SETUP: tuple[tuple[str, Body], ...] = (
    (f"PATCH {V3}/contacts/{GRACE}", {"properties": {"customer_number": "G-1"}}),
)
_TO_COMPANY = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]

# One value of every type, as a request may spell it.
PROPERTIES: dict[str, Body] = {
    "email": "Ada@Example.com",
    "firstname": "Ada",
    "phone": "+49 30 123456",
    "lifecyclestage": "customer",
    "hs_buying_role": "CHAMPION;END_USER",
    "score": 9007199254740993,
    "is_partner": True,
    "birthday": "1815-12-10",
    "next_call": "2026-12-01T09:30:00Z",
    "hubspot_owner_id": "17",
}
_PAIR = {"from": {"id": MARY}, "to": {"id": ENGINES}}
_PAIRS = "/crm/v4/associations/contacts/companies/batch"

_HUBSPOT: dict[str, tuple[str, Body]] = {
    "create, every type": (f"POST {V3}/contacts", {"properties": PROPERTIES}),
    "create with an association": (
        "POST /crm/objects/2026-03/0-1",
        {
            "properties": {"firstname": "Ada"},
            "associations": [{"to": {"id": ENGINES}, "types": _TO_COMPANY}],
        },
    ),
    "update": (f"PATCH {V3}/contacts/{MARY}", {"properties": {"score": "1.50", "phone": ""}}),
    "update by a unique value": (
        f"PATCH {V3}/contacts/{quote('Mary@engines.example', safe='')}?idProperty=email",
        {"properties": {"birthday": 1_000 * 86_400_000, "next_call": "1782550000000"}},
    ),
    "archive": (f"DELETE {V3}/contact/{MARY}", None),
    "archive by a unique value": (f"DELETE {V3}/contacts/G-1?idProperty=customer_number", None),
    "batch create": (
        f"POST {V3}/contacts/batch/create",
        {"inputs": [{"properties": PROPERTIES}, {"properties": {"firstname": None}}]},
    ),
    "batch create with associations": (
        f"POST {V3}/contacts/batch/create",
        {
            "inputs": [
                {
                    "objectWriteTraceId": "a",
                    "properties": {},
                    "associations": [{"to": {"id": int(ENGINES)}, "types": _TO_COMPANY}],
                },
                {"objectWriteTraceId": "b", "properties": {}},
            ]
        },
    ),
    "batch update": (
        f"POST {V3}/contacts/batch/update",
        {
            "inputs": [
                {"id": GRACE, "properties": {"hs_buying_role": "BLOCKER"}},
                {"id": int(MARY), "properties": {"is_partner": "false"}},
                {
                    "id": "charles@engines.example",
                    "idProperty": "email",
                    "properties": {"score": 5},
                },
            ]
        },
    ),
    "batch upsert": (
        f"POST {V3}/contacts/batch/upsert",
        {
            "inputs": [
                {"id": "G-1", "idProperty": "customer_number", "properties": {"score": "7"}},
                {"id": "G-2", "idProperty": "customer_number", "properties": {"score": "8"}},
            ]
        },
    ),
    "batch archive": (
        f"POST {V3}/contacts/batch/archive",
        {"inputs": [{"id": MARY}, {"id": GRACE}]},
    ),
    "merge": (
        f"POST {V3}/contacts/merge",
        {"primaryObjectId": MARY, "objectIdToMerge": CHARLES},
    ),
    "delete for GDPR": (f"POST {V3}/contacts/gdpr-delete", {"objectId": MARY}),
    "delete for GDPR by email": (
        f"POST {V3}/contacts/gdpr-delete",
        {"objectId": "GRACE@compilers.example", "idProperty": "email"},
    ),
    "associate by type": (
        f"PUT {V3}/contacts/{MARY}/associations/companies/{ENGINES}/279",
        None,
    ),
    "associate from the other side": (
        f"PUT {V4}/companies/{ENGINES}/associations/default/contacts/{MARY}",
        None,
    ),
    "associate with labels": (
        f"PUT {V4}/contacts/{MARY}/associations/companies/{ENGINES}",
        _TO_COMPANY,
    ),
    "dissociate": (f"DELETE {V4}/contacts/{CHARLES}/associations/companies/{ENGINES}", None),
    "dissociate by type": (
        f"DELETE {V3}/contacts/{CHARLES}/associations/companies/{ENGINES}/279",
        None,
    ),
    "batch associate": (f"POST {_PAIRS}/create", {"inputs": [{**_PAIR, "types": _TO_COMPANY}]}),
    "batch associate by name": (
        "POST /crm/v3/associations/contacts/companies/batch/create",
        {"inputs": [{**_PAIR, "type": "contact_to_company"}]},
    ),
    "batch associate by default": (f"POST {_PAIRS}/associate/default", {"inputs": [_PAIR]}),
    "batch dissociate": (
        f"POST {_PAIRS}/archive",
        {"inputs": [{"from": {"id": CHARLES}, "to": [{"id": ENGINES}, {"id": COMPILERS}]}]},
    ),
    "batch remove labels": (
        f"POST {_PAIRS}/labels/archive",
        {"inputs": [{**_PAIR, "types": _TO_COMPANY}]},
    ),
    "define a label": (
        "POST /crm/v4/associations/contacts/companies/labels",
        {"name": "boss", "label": "Boss"},
    ),
    "define a property": (
        "POST /crm/v3/properties/contacts",
        {
            "name": "shoe_size",
            "label": "Shoe size",
            "type": "number",
            "fieldType": "number",
            "groupName": "information",
        },
    ),
}

_CREATE = f"POST {V3}/contacts"
_HUBSPOT_FAULTS: dict[str, tuple[str, Body, str]] = {
    "nothing": (_CREATE, None, "empty"),
    "no object": (_CREATE, [], "not a JSON object"),
    "no properties": (_CREATE, {"firstname": "Ada"}, "`properties`"),
    "a near miss": (_CREATE, {"properties": {"firstnam": "x"}}, '"firstname"'),
    "an unknown property": (
        f"PATCH {V3}/contacts/{MARY}",
        {"properties": {"zzz": "x"}},
        '"zzz"',
    ),
    "a read-only property": (
        _CREATE,
        {"properties": {"hs_object_id": "5"}},
        '"hs_object_id" is read-only',
    ),
    "no number": (_CREATE, {"properties": {"score": "lots"}}, "takes a number"),
    "no flag": (_CREATE, {"properties": {"is_partner": "perhaps"}}, "true or false"),
    "no day": (_CREATE, {"properties": {"birthday": "soon"}}, "takes a day"),
    "a day with a time": (
        _CREATE,
        {"properties": {"birthday": "2026-01-01T10:00:00Z"}},
        "takes a day",
    ),
    "no moment": (_CREATE, {"properties": {"next_call": "soon"}}, "takes a moment"),
    "no address": (_CREATE, {"properties": {"email": "ada"}}, "takes an address"),
    "an unknown option": (
        _CREATE,
        {"properties": {"lifecyclestage": "friend"}},
        'no option "friend"',
    ),
    "one of several options": (
        _CREATE,
        {"properties": {"hs_buying_role": "CHAMPION;x"}},
        'no option "x"',
    ),
    "half an association": (
        _CREATE,
        {"properties": {}, "associations": [{"to": {"id": ENGINES}}]},
        '"types"',
    ),
    "an update by no property": (
        f"PATCH {V3}/contacts/x?idProperty=emial",
        {"properties": {}},
        '"email"',
    ),
    "no inputs": (f"POST {V3}/contacts/batch/update", {"inputs": []}, "1 to 100"),
    "too many inputs": (
        f"POST {V3}/contacts/batch/create",
        {"inputs": [{"properties": {}}] * 101},
        "101 inputs",
    ),
    "inputs that are none": (
        f"POST {V3}/contacts/batch/create",
        {"inputs": [{"properties": {}}, 5]},
        "not objects",
    ),
    "an update of nobody": (
        f"POST {V3}/contacts/batch/update",
        {"inputs": [{"properties": {}}]},
        "`id` is missing",
    ),
    "an upsert by nothing": (
        f"POST {V3}/contacts/batch/upsert",
        {"inputs": [{"id": "x", "properties": {}}]},
        "`idProperty` is missing",
    ),
    "an archive of nobody": (
        f"POST {V3}/contacts/batch/archive",
        {"inputs": [{}]},
        "`id` is missing",
    ),
    "half a merge": (
        f"POST {V3}/contacts/merge",
        {"primaryObjectId": MARY},
        "`objectIdToMerge` is missing",
    ),
    "a merge with itself": (
        f"POST {V3}/contacts/merge",
        {"primaryObjectId": MARY, "objectIdToMerge": int(MARY)},
        "with itself",
    ),
    "a deletion of nobody": (f"POST {V3}/contacts/gdpr-delete", {}, "`objectId` is missing"),
    "no labels": (f"PUT {V4}/contacts/{MARY}/associations/companies/{ENGINES}", {}, "no types"),
    "half a pair": (
        f"POST {_PAIRS}/associate/default",
        {"inputs": [{"from": {"id": MARY}}]},
        "both records",
    ),
    "a pair of no type": (f"POST {_PAIRS}/create", {"inputs": [_PAIR]}, "`types`"),
    "a pair of no named type": (
        "POST /crm/v3/associations/contacts/companies/batch/create",
        {"inputs": [_PAIR]},
        "`type`",
    ),
}

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**13),
    st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 3)),
    st.sampled_from(["", "x", "true", "False", "12", " 12 ", "1,000", "1e3", "NaN", "a@b.co"]),
    st.sampled_from(
        ["2026-12-24", "2026-12-24T10:00:00+02:00", "CHAMPION;BLOCKER", ";CHAMPION"]
    ),
    st.text(max_size=5),
    st.just(["x"]),
    st.just({"x": 1}),
)


@st.composite
def _properties(draw: st.DrawFn) -> Mapping[str, Body]:
    names = draw(
        st.lists(
            st.sampled_from([*PROPERTIES, *PROPERTIES, "hs_object_id", "nope", "Firstname"]),
            max_size=4,
            unique=True,
        )
    )
    given = {}
    for name in names:
        natural = st.just(PROPERTIES[name]) if name in PROPERTIES else _SCALARS
        given[name] = draw(st.one_of(natural, natural, _SCALARS))
    return given


def _contacts() -> Strategy:
    ids: Strategy = st.sampled_from([CHARLES, GRACE, MARY, int(MARY), "999", "", None, True])
    fields = st.fixed_dictionaries({"properties": _properties()})
    some = {"properties": _properties()}
    named = st.fixed_dictionaries(
        {"id": ids, **some}, optional={"idProperty": st.sampled_from(["email", "nope", ""])}
    )
    ends = st.fixed_dictionaries(
        {},
        optional={
            "from": st.fixed_dictionaries({}, optional={"id": ids}),
            "to": st.fixed_dictionaries(
                {}, optional={"id": st.sampled_from([ENGINES, "9", 5])}
            ),
            "types": st.sampled_from([_TO_COMPANY, [], None]),
            "type": st.sampled_from(["contact_to_company", "", "x"]),
        },
    )

    def batch(kind: str, each: Strategy) -> Strategy:
        inputs = st.lists(each, max_size=3)
        return st.tuples(
            st.just(f"POST {V3}/contacts/batch/{kind}"),
            st.fixed_dictionaries({"inputs": inputs}),
        )

    def pairs(kind: str) -> Strategy:
        version = (
            st.sampled_from(["v3", "v4"]) if kind in ("create", "archive") else st.just("v4")
        )
        path = version.map(
            lambda v: f"POST /crm/{v}/associations/contacts/companies/batch/{kind}"
        )
        return st.tuples(path, st.fixed_dictionaries({"inputs": st.lists(ends, max_size=2)}))

    return st.one_of(
        st.tuples(st.just(_CREATE), fields),
        st.tuples(
            st.sampled_from([CHARLES, MARY, "999"]).map(lambda i: f"PATCH {V3}/contacts/{i}"),
            fields,
        ),
        batch("create", fields),
        batch("update", named),
        batch("upsert", named),
        batch("archive", named),
        pairs("create"),
        pairs("associate/default"),
        pairs("archive"),
        pairs("labels/archive"),
        st.tuples(
            st.just(f"POST {V3}/contacts/merge"),
            st.fixed_dictionaries(
                {}, optional={"primaryObjectId": ids, "objectIdToMerge": ids}
            ),
        ),
        st.tuples(
            st.just(f"POST {V3}/contacts/gdpr-delete"),
            st.fixed_dictionaries(
                {}, optional={"objectId": ids, "idProperty": st.sampled_from(["email", "nope"])}
            ),
        ),
    )


ACCEPTED = {"airtable": _AIRTABLE, "hubspot": _HUBSPOT}
FAULTY = {"airtable": _AIRTABLE_FAULTS, "hubspot": _HUBSPOT_FAULTS}
RANDOM = {"airtable": _tasks(), "hubspot": _contacts()}
WORDS = {
    "airtable": [
        *CELLS,
        "records",
        "fields",
        "id",
        "performUpsert",
        "fieldsToMergeOn",
        "typecast",
    ],
    "hubspot": [
        *PROPERTIES,
        *("inputs", "properties", "id", "idProperty", "associations", "to", "from", "types"),
        *("objectId", "primaryObjectId", "objectIdToMerge", "associationTypeId"),
    ],
}

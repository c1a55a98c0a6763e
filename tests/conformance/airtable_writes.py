"""Calls that write to Airtable's sandbox; paths are below the base (`writes.call`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Body = Any
Strategy = st.SearchStrategy[Any]

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

ACCEPTED: dict[str, tuple[str, Body]] = {
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

FAULTY: dict[str, tuple[str, Body, str]] = {
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


def tasks() -> Strategy:
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


WORDS = [
    *CELLS,
    *("records", "fields", "id", "performUpsert", "fieldsToMergeOn", "typecast"),
]

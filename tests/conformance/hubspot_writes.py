"""Calls that write to HubSpot's sandbox, and what it needs for them (`SETUP`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

Body = Any
Strategy = st.SearchStrategy[Any]

V3, V4 = "/crm/v3/objects", "/crm/v4/objects"
ENGINES, COMPILERS, CHARLES, GRACE, MARY, ENGINE, COMPILER = (
    f"5000000000{n}" for n in range(1, 8)
)
SETUP: tuple[tuple[str, Body], ...] = (
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

ACCEPTED: dict[str, tuple[str, Body]] = {
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
FAULTY: dict[str, tuple[str, Body, str]] = {
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


def contacts() -> Strategy:
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


WORDS = [
    *PROPERTIES,
    *("inputs", "properties", "id", "idProperty", "associations", "to", "from", "types"),
    *("objectId", "primaryObjectId", "objectIdToMerge", "associationTypeId"),
]

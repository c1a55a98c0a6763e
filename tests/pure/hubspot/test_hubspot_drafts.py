"""What a request to HubSpot is meant to do, told from the request alone."""

from __future__ import annotations

import dataclasses

import pytest
from hubspot_portal import ANALYTICAL, CHARLES, MARY, Portal, collection, request, route

from providers.hubspot.sandbox.kit import TOKEN
from providers.record import ColumnType, Field, Schema
from providers.spec import DraftKind

V3, V4 = "/crm/v3/objects", "/crm/v4/objects"
PAIR = "associations_company_contact"
KIN = "associations_contact_contact"


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Portal(TOKEN).schema()


def drafts(schema, line, body=None):
    method, target = line.split(" ")
    asked = request(method, target, body)
    match = route(method, asked.path)
    return match.route.draft(asked, match.variables, schema)


def told(schema, line, body=None):
    """Kind, collection and key of every draft."""
    return [(d.kind.value, d.collection, d.key) for d in drafts(schema, line, body)]


def values(schema, **properties):
    (draft,) = drafts(schema, f"POST {V3}/contacts", {"properties": properties})
    assert draft.faults == ()
    return draft.values


@pytest.mark.parametrize("spelling", ["contacts", "contact", "0-1", "CONTACTS"])
def test_every_spelling_of_a_type_names_it(schema, spelling):
    assert told(schema, f"DELETE {V3}/{spelling}/5") == [("delete", "0-1", ("5",))]


@pytest.mark.parametrize(
    ("name", "written", "column"),
    [
        ("email", "Ada@Example.COM", "ada@example.com"),
        ("score", 17, "17"),
        ("score", 2.5, "2.5"),
        ("score", "", None),
        ("score", None, None),
        ("is_partner", True, True),
        ("is_partner", "FALSE", False),
        ("birthday", 86_400_000, "1970-01-02"),
        ("next_call", "2026-12-01T10:30:00+01:00", "2026-12-01T09:30:00+00:00"),
        ("next_call", "2026-12-01T10:30:00.123456", "2026-12-01T10:30:00.123000+00:00"),
        ("next_call", 1000, "1970-01-01T00:00:01+00:00"),
        ("hs_buying_role", "CHAMPION;BLOCKER", ["CHAMPION", "BLOCKER"]),
        ("firstname", 5, "5"),
    ],
)
def test_values_are_as_the_column_takes_them(schema, name, written, column):
    assert values(schema, **{name: written}) == {name: column}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("hs_buying_role", ";CHAMPION"),  # added to what the record has
        ("firstname", {"a": 1}),
        ("firstname", ["a"]),
        ("score", "1,000"),
        ("score", "1" + "0" * 2_000),  # no column holds that
        ("next_call", "0001-01-01T00:00:00+02:00"),
        ("Firstname", "x"),  # whether case counts is not said
    ],
)
def test_a_value_that_nobody_can_foretell_is_left_out_and_no_fault(schema, name, written):
    assert values(schema, **{name: written}) == {}


def test_options_that_are_kept_elsewhere_are_not_known(schema):
    fields = collection(schema, "contacts").by_name
    assert fields["hubspot_owner_id"].options is None
    assert fields["lifecyclestage"].options[:2] == ("subscriber", "lead")
    assert fields["is_partner"].options is None
    assert values(schema, hubspot_owner_id="17") == {"hubspot_owner_id": "17"}


def test_a_yes_or_no_with_options_takes_any_case(schema):
    contacts = collection(schema, "contacts")
    flag = Field(
        "opted",
        "opted",
        "enumeration/booleancheckbox",
        ColumnType.BOOLEAN,
        options=("true", "false"),
    )
    with_flag = Schema((dataclasses.replace(contacts, fields=(*contacts.fields, flag)),))
    assert values(with_flag, opted="True") == {"opted": True}


def test_a_json_property_holds_what_its_text_says():
    emails = Portal(TOKEN).schema("emails")
    line, body = f"POST {V3}/emails", {"properties": {"hs_email_headers": '{"to": [1]}'}}
    (draft,) = drafts(emails, line, body)
    assert draft.values == {"hs_email_headers": {"to": [1]}}
    body["properties"]["hs_email_headers"] = "no json"
    (draft,) = drafts(emails, line, body)
    assert (draft.values, draft.faults) == ({}, ())


def test_a_unique_value_is_matched_and_an_id_is_a_key(schema):
    (by_email,) = drafts(schema, f"DELETE {V3}/contacts/A%40b.co?idProperty=email")
    assert (by_email.key, by_email.match) == (None, ("email", "a@b.co"))
    (by_id,) = drafts(schema, f"DELETE {V3}/contacts/7?idProperty=hs_object_id")
    assert (by_id.key, by_id.match) == (("7",), None)


def test_an_upsert_sets_the_value_that_it_is_named_by(schema):
    given = {"idProperty": "email", "id": "A@b.co", "properties": {"firstname": "Ada"}}
    (draft,) = drafts(schema, f"POST {V3}/contacts/batch/upsert", {"inputs": [given]})
    assert draft.match == ("email", "a@b.co")
    assert draft.values == {"email": "a@b.co", "firstname": "Ada"}


def test_a_pair_has_one_row_from_either_side_and_its_records_are_touched(schema):
    expected = {
        ("upsert", PAIR, (ANALYTICAL, MARY)),
        ("touch", "0-1", (MARY,)),
        ("touch", "0-2", (ANALYTICAL,)),
    }
    there = f"PUT {V4}/contacts/{MARY}/associations/default/companies/{ANALYTICAL}"
    back = f"PUT {V4}/companies/{ANALYTICAL}/associations/default/contacts/{MARY}"
    assert set(told(schema, there)) == set(told(schema, back)) == expected


def test_a_pair_within_one_type_has_both_rows(schema):
    line = f"DELETE {V4}/contacts/{MARY}/associations/contacts/{CHARLES}"
    assert told(schema, line)[:2] == [
        ("delete", KIN, (MARY, CHARLES)),
        ("delete", KIN, (CHARLES, MARY)),
    ]
    itself = f"DELETE {V4}/contacts/{MARY}/associations/contacts/{MARY}"
    assert told(schema, itself) == [("delete", KIN, (MARY, MARY)), ("touch", "0-1", (MARY,))]


def test_what_only_removes_a_label_touches_the_pair(schema):
    kinds = {
        d.kind
        for d in drafts(
            schema,
            "POST /crm/v4/associations/contacts/companies/batch/labels/archive",
            {"inputs": [{"from": {"id": "1"}, "to": {"id": "2"}, "types": [{}]}]},
        )
    }
    assert kinds == {DraftKind.TOUCH}


def test_more_pairs_than_a_call_takes_are_a_fault(schema):
    many = {"inputs": [{"from": {"id": "1"}, "to": {"id": str(n)}} for n in range(2_001)]}
    path = "/crm/v4/associations/contacts/companies/batch/associate/default"
    assert "2001 inputs" in drafts(schema, f"POST {path}", many)[0].faults[0]


def test_a_create_touches_the_pairs_that_its_associations_make(schema):
    body = {
        "properties": {},
        "associations": [
            {
                "to": {"id": ANALYTICAL},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}],
            },
            {"to": {"id": "5"}, "types": [{"associationTypeId": 99999}]},
        ],
    }
    assert told(schema, f"POST {V3}/contacts", body) == [
        ("create", "0-1", None),
        ("touch", PAIR, None),
        ("touch", "0-2", (ANALYTICAL,)),
    ]


def test_a_merge_touches_both_records_and_all_pairs_of_their_type(schema):
    found = told(
        schema,
        f"POST {V3}/contacts/merge",
        {"primaryObjectId": MARY, "objectIdToMerge": CHARLES},
    )
    assert found[:2] == [("touch", "0-1", (MARY,)), ("touch", "0-1", (CHARLES,))]
    assert {name for _, name, key in found[2:] if key is None} == {
        PAIR,
        KIN,
        "associations_contact_deal",
    }


def test_a_record_that_nothing_names_may_be_any(schema):
    line, body = f"POST {V3}/contacts/batch/archive", {"inputs": [{"id": True}]}
    (draft,) = drafts(schema, line, body)
    assert (draft.kind, draft.key, draft.faults) == (DraftKind.TOUCH, None, ())


@pytest.mark.parametrize(
    ("line", "collections"),
    [
        ("POST /contacts/v1/contact", ["0-1"]),
        ("POST /crm-objects/v1/objects/deals/batch-create", ["0-3"]),
        ("POST /crm/v3/objects/deals/splits/batch/upsert", ["0-3"]),
        ("PATCH /crm/v3/properties/contacts/firstname", ["0-1"]),
        ("POST /crm/v4/associations/contacts/companies/labels", [PAIR]),
        ("POST /crm/v3/pipelines/deals", []),
        ("POST /engagements/v1/engagements", []),  # none of its types is covered
    ],
)
def test_an_effect_touches_what_it_may_change(schema, line, collections):
    assert told(schema, line, {}) == [("touch", name, None) for name in collections]


def test_a_legacy_association_touches_every_pair(schema):
    found = told(schema, "PUT /crm-associations/v1/associations", {})
    pairs = {c.id for c in schema.collections if c.id.startswith("associations_")}
    assert {name for _, name, _ in found} == pairs

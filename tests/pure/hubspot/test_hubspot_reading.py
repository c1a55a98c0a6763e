"""Discovery and reading again, as conversations with the simulated portal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hubspot_portal import (
    ANALYTICAL,
    CHARLES,
    COMPILERS,
    GRACE,
    MARY,
    Portal,
    collection,
)

from providers.http import Request, Response
from providers.hubspot.discovery import discover
from providers.hubspot.objects import STANDARD, find_objects
from providers.hubspot.reading import OBJECTS_AT_ONCE, read_records
from providers.hubspot.sandbox.kit import READ_ONLY_TOKEN
from providers.record import ColumnType, Image, ImageKind
from providers.spec import Refused, UnknownCollection

V3 = "/crm/v3/objects"
CAR = {
    "name": "car",
    "labels": {"singular": "Car", "plural": "Cars"},
    "requiredProperties": ["plate"],
    "properties": [
        {"name": "plate", "label": "Plate", "type": "string", "fieldType": "text"},
        {"name": "doors", "label": "Doors", "type": "number", "fieldType": "number"},
    ],
    "associatedObjects": ["CONTACT"],
}


def test_discovery_finds_types_fields_and_pairs():
    schema = Portal().schema("contact", "0-2")
    contacts = collection(schema, "contacts")
    assert (contacts.id, contacts.name, contacts.table_name) == ("0-1", "contacts", "contact")
    assert [(f.id, f.column_name) for f in contacts.fields[:4]] == [
        ("$id", "id"),
        ("$created_at", "created_at"),
        ("$updated_at", "updated_at"),
        ("$archived", "archived"),
    ]
    types = {f.id: f.column_type for f in contacts.fields}
    assert types["$archived"] is ColumnType.BOOLEAN
    assert types["score"] is ColumnType.NUMERIC
    assert types["next_call"] is ColumnType.TIMESTAMPTZ
    assert types["hs_buying_role"] is ColumnType.TEXT_ARRAY
    assert not contacts.by_id["createdate"].writable
    assert contacts.by_id["email"].writable


def test_pairs_are_in_alphabetical_order_with_a_column_for_each_end():
    schema = Portal().schema("contacts", "companies", "deals", "line_items")
    pairs = {c.id: c for c in schema.collections if c.key != ("$id",)}
    assert sorted(pairs) == [
        "associations_company_company",
        "associations_company_contact",
        "associations_company_deal",
        "associations_contact_contact",
        "associations_contact_deal",
        "associations_deal_deal",
        "associations_deal_line_item",
    ]
    pair = pairs["associations_company_contact"]
    assert pair.key == ("$left", "$right")
    assert pair.table_name == pair.id
    assert [(f.column_name, f.column_type.value) for f in pair.fields] == [
        ("company_id", "text"),
        ("contact_id", "text"),
        ("labels", "text[]"),
    ]
    own = pairs["associations_contact_contact"]
    assert [f.column_name for f in own.fields] == ["contact_id", "contact_id_2", "labels"]


@pytest.mark.parametrize("spelling", ["car", "2-1000003", "p48000001_car", "p_car"])
def test_custom_types_are_found_under_all_their_names(spelling: str):
    portal = Portal()
    made = portal.call("POST", "/crm-object-schemas/v3/schemas", CAR)
    spelling = made["objectTypeId"] if spelling.startswith("2-") else spelling
    schema = portal.schema("contacts", spelling)
    cars = collection(schema, spelling)
    assert (cars.id, cars.table_name) == (made["objectTypeId"], "car")
    assert cars.by_id["doors"].column_type is ColumnType.NUMERIC
    pair = collection(schema, "associations_car_contact")
    assert [f.column_name for f in pair.fields] == ["car_id", "contact_id", "labels"]
    record = portal.call("POST", f"{V3}/{spelling}", {"properties": {"plate": "A 1"}})
    (image,) = portal.converse(read_records(cars, [(record["id"],)]))
    assert image.values["plate"] == "A 1"


class OldPortal(Portal):
    """Answers what discovery asks; the simulator allows no name twice."""

    def send(self, request: Request) -> Response:
        own = {"objectTypeId": "2-7", "name": "projects", "fullyQualifiedName": "p4_projects"}
        results = [own] if request.path.endswith("/schemas") else []
        if request.path.endswith("/labels"):
            results = [{"category": "USER_DEFINED", "typeId": 1}]
        return Response(200, body=orjson.dumps({"results": results}))


def test_a_custom_type_named_like_one_of_hubspots_own_is_kept_apart():
    """Portals had their own projects before HubSpot had; the plain name is HubSpot's."""
    found = OldPortal().schema("projects", "p4_projects")
    tables = {c.id: c.table_name for c in found.collections if c.key == ("$id",)}
    assert tables == {"0-970": "project", "2-7": "p4_projects"}
    spellings = ("project", "Projects", "p_projects", "p4_projects")
    ids = [kind.id for s in spellings if (kind := find_objects(found, s)) is not None]
    assert ids == ["0-970", "0-970", "2-7", "2-7"]


def test_a_custom_type_is_found_in_any_case():
    portal = Portal()
    portal.call("POST", "/crm-object-schemas/v3/schemas", {**CAR, "name": "SportsCar"})
    schema = portal.schema("p48000001_SportsCar")
    for spelling in ("SportsCar", "sportscar", "p_sportscar", "P48000001_sportscar"):
        found = find_objects(schema, spelling)
        assert found is not None, spelling
        assert found.name == "SportsCar", spelling


def test_without_a_selection_it_is_whatever_the_token_may_read():
    everything = Portal().converse(discover("48000001", None))
    assert {kind.id for kind in STANDARD} <= {c.id for c in everything}
    narrow = Portal(token=READ_ONLY_TOKEN).converse(discover("48000001", None))
    assert {c.id for c in narrow if c.key == ("$id",)} == {"0-1", "0-2"}


class Counting(Portal):
    """Counts its calls, and has no schema to show of some types."""

    def __init__(self, *schemaless: str, **switches: Any) -> None:
        super().__init__(**switches)
        self.asked: list[str] = []
        self.schemaless = schemaless

    def send(self, request: Request) -> Response:
        self.asked.append(request.path)
        if "/schemas/" in request.path and request.path.rpartition("/")[2] in self.schemaless:
            return Response(404, body=b"{}")
        return super().send(request)


def test_what_two_schemas_rule_out_is_not_asked_for():
    quick, slow = Counting(), Counting(standard_schemas=False)
    found = [portal.converse(discover("48000001", None)) for portal in (quick, slow)]
    assert found[0] == found[1]
    pairs = [c for c in found[0] if c.key != ("$id",)]
    within = sum(pair.fields[0].type == pair.fields[1].type for pair in pairs)
    assert (len(pairs), within) == (25, 3)
    assert len(quick.asked) == 1 + 2 * len(STANDARD) + 2 * len(pairs) - within == 110
    assert len(slow.asked) == 1 + 2 * len(STANDARD) + 31 * 32 / 2 + len(pairs) - within == 581


def test_one_schema_alone_rules_nothing_out():
    portal = Counting("0-1")
    found = portal.converse(discover("48000001", None))
    assert found == Counting().converse(discover("48000001", None))
    assert "/crm/v4/associations/0-1/0-7/labels" in portal.asked
    assert "/crm/v4/associations/0-2/0-7/labels" not in portal.asked


class Reticent(Portal):
    """Shows schemas of HubSpot's own types without what they associate with."""

    def send(self, request: Request) -> Response:
        response = super().send(request)
        if "/schemas/0-" not in request.path:
            return response
        return Response(200, body=b'{"associations":[]}')


def test_schemas_that_tell_no_associations_at_all_rule_nothing_out():
    portal = Reticent()
    portal.call("POST", "/crm-object-schemas/v3/schemas", CAR)
    found = {c.id for c in portal.converse(discover("48000001", None))}
    assert {"associations_company_contact", "associations_car_contact"} <= found


def test_a_custom_types_associations_are_found_without_a_selection():
    portal = Portal()
    portal.call("POST", "/crm-object-schemas/v3/schemas", CAR)
    found = {c.id for c in portal.converse(discover("48000001", None))}
    assert "associations_car_contact" in found
    assert "associations_car_company" not in found


def test_a_selection_asks_for_all_of_its_pairs():
    portal = Counting()
    portal.schema("contacts", "products")
    assert "/crm/v4/associations/0-1/0-7/labels" in portal.asked
    assert not [path for path in portal.asked if "schemas" in path]


@pytest.mark.parametrize("status", [401, 429, 502])
def test_trouble_does_not_make_a_type_disappear(status: int):
    conversation = discover("48000001", None)
    next(conversation)
    assert conversation.send(Response(200, body=b"{}")).path == "/crm/v3/properties/0-1"
    with pytest.raises(Refused):
        conversation.send(Response(status))


@pytest.mark.parametrize("status", [401, 429, 502])
def test_trouble_with_a_schema_is_not_taken_for_one_that_tells_nothing(status: int):
    class Troubled(Portal):
        def send(self, request: Request) -> Response:
            return Response(status) if "/schemas/0-2" in request.path else super().send(request)

    with pytest.raises(Refused):
        Troubled().converse(discover("48000001", None))


def test_a_token_that_may_read_no_type_at_all_is_refused():
    class Closed(Portal):
        def send(self, request: Request) -> Response:
            return Response(403, body=b'{"message":"no to the first"}')

    with pytest.raises(Refused, match="no to the first"):
        Closed().converse(discover("48000001", None))


def test_a_missing_scope_is_refused_with_its_name():
    with pytest.raises(Refused) as refused:
        Portal(token=READ_ONLY_TOKEN).schema("deals")
    assert refused.value.response.status == 403
    assert "required scopes" in refused.value.said
    assert "crm.schemas.deals.read" in refused.value.remedy


def test_an_unknown_type_is_named_with_those_that_there_are():
    portal = Portal()
    portal.call("POST", "/crm-object-schemas/v3/schemas", CAR)
    with pytest.raises(UnknownCollection) as unknown:
        portal.schema("contacts", "spaceships")
    assert unknown.value.wanted == "spaceships"
    assert {"contacts", "car", "line_items"} <= set(unknown.value.available)


def test_the_id_of_a_pair_selects_nothing_by_itself():
    schema = Portal().schema("contacts", "companies", "associations_company_contact")
    assert {c.id for c in schema.collections} == {
        c.id for c in Portal().schema("contacts", "companies").collections
    }


def test_a_standard_selection_asks_for_no_schemas():
    conversation = discover("48000001", ("contacts",))
    assert next(conversation).target == "/crm/v3/properties/0-1"


# --- reading again ------------------------------------------------------------------------


def test_a_record_is_read_in_full_and_replaces():
    portal = Portal()
    contacts = collection(portal.schema("contacts"), "contacts")
    (image,) = portal.converse(read_records(contacts, [(GRACE,)]))
    assert (image.kind, image.key) == (ImageKind.REPLACE, (GRACE,))
    assert set(image.values) == {f.id for f in contacts.fields}, "every field, empty or not"
    assert (image.values["score"], image.values["lastname"]) == ("42", None)
    assert image.updated_at == image.values["$updated_at"]


def test_the_archived_keep_their_values_and_the_gone_are_deleted():
    portal = Portal()
    contacts = collection(portal.schema("contacts"), "contacts")
    portal.call("DELETE", f"{V3}/contacts/{GRACE}")
    portal.call("POST", f"{V3}/contacts/gdpr-delete", {"objectId": MARY})
    keys = [(CHARLES,), (GRACE,), (MARY,), ("404",), (CHARLES,)]
    images = portal.converse(read_records(contacts, keys))
    assert {i.key[0]: i.kind for i in images} == {
        CHARLES: ImageKind.REPLACE,
        GRACE: ImageKind.REPLACE,
        MARY: ImageKind.DELETE,
        "404": ImageKind.DELETE,
    }
    assert len(images) == 4
    grace = next(i for i in images if i.key == (GRACE,))
    assert (grace.values["$archived"], grace.values["score"]) == (True, "42")


def test_a_record_restored_between_two_reads_is_not_deleted():
    before, after = Portal(), Portal()
    before.call("DELETE", f"{V3}/contacts/{GRACE}")
    contacts = collection(after.schema("contacts"), "contacts")
    conversation = read_records(contacts, [(GRACE,)])
    request = next(conversation)
    for portal in (before, after):  # somebody restored it after the first read
        request = conversation.send(portal.send(request))
    last = after.send(request)
    with pytest.raises(StopIteration) as ended:
        conversation.send(last)
    (image,) = ended.value.value
    assert (image.kind, image.values["$archived"]) == (ImageKind.REPLACE, False)


@pytest.mark.parametrize("found_by_old_id", [False, True])
def test_a_merged_record_is_gone_under_its_old_id(found_by_old_id: bool):
    portal = Portal(merged_ids_in_batch_read=found_by_old_id)
    contacts = collection(portal.schema("contacts"), "contacts")
    body = {"primaryObjectId": CHARLES, "objectIdToMerge": MARY}
    new = portal.call("POST", f"{V3}/contacts/merge", body)["id"]
    images = portal.converse(read_records(contacts, [(MARY,)]))
    kinds = {i.key[0]: i.kind for i in images}
    assert kinds[MARY] is ImageKind.DELETE
    assert kinds.get(new) is (ImageKind.REPLACE if found_by_old_id else None)


def test_many_records_are_asked_for_a_hundred_at_a_time():
    contacts = collection(Portal().schema("contacts"), "contacts")
    sizes: list[int] = []

    def answer() -> Iterator[Image]:
        conversation = read_records(contacts, [(str(n),) for n in range(250)])
        request = next(conversation)
        while True:
            ids = [each["id"] for each in orjson.loads(request.body)["inputs"]]
            sizes.append(len(ids))
            body = {"results": [{"id": i, "properties": {}} for i in ids]}
            try:
                request = conversation.send(Response(200, body=orjson.dumps(body)))
            except StopIteration as done:
                yield from done.value
                return

    assert len(list(answer())) == 250
    assert sizes == [OBJECTS_AT_ONCE, OBJECTS_AT_ONCE, 50]


@pytest.mark.parametrize("numbers", [True, False])
def test_pairs_are_read_with_the_labels_seen_from_their_left(numbers: bool):
    portal = Portal(numeric_association_ids=numbers)
    schema = portal.schema("contacts", "companies")
    pair = collection(schema, "associations_company_contact")
    path = f"/crm/v4/objects/contacts/{CHARLES}/associations/companies/{ANALYTICAL}"
    portal.call(
        "PUT", path, [{"associationCategory": "USER_DEFINED", "associationTypeId": 1001}]
    )
    keys = [(ANALYTICAL, CHARLES), (COMPILERS, GRACE), (COMPILERS, MARY), ("404", MARY)]
    images = {i.key: i for i in portal.converse(read_records(pair, keys))}
    labelled = images[ANALYTICAL, CHARLES]
    assert labelled.kind is ImageKind.REPLACE
    assert labelled.values == {
        "$left": ANALYTICAL,
        "$right": CHARLES,
        "$labels": ["Advised by"],
    }
    assert images[COMPILERS, GRACE].values["$labels"] == []
    assert images[COMPILERS, MARY].kind is ImageKind.DELETE
    assert images["404", MARY].kind is ImageKind.DELETE


def test_a_long_list_of_associations_is_followed_to_its_end():
    portal = Portal()
    portal.step = 10.0
    pair = collection(portal.schema("contacts", "companies"), "associations_company_contact")
    ids = []
    for chunk in range(6):
        people: list[dict[str, Any]] = [
            {"properties": {"email": f"p{chunk}-{n}@example.com"}} for n in range(100)
        ]
        made = portal.call("POST", f"{V3}/contacts/batch/create", {"inputs": people})
        ids += [each["id"] for each in made["results"]]
    body = {"inputs": [{"from": {"id": COMPILERS}, "to": {"id": i}} for i in ids]}
    path = "/crm/v4/associations/companies/contacts/batch/associate/default"
    portal.call("POST", path, body)
    keys = [(COMPILERS, i) for i in ids]
    images = portal.converse(read_records(pair, keys))
    assert [i.key for i in images] == keys
    assert {i.kind for i in images} == {ImageKind.REPLACE}


def test_no_keys_need_no_call():
    contacts = collection(Portal().schema("contacts"), "contacts")
    with pytest.raises(StopIteration) as done:
        next(read_records(contacts, []))
    assert done.value.value == ()


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response(502, body=b"<html>bad gateway</html>"), "gave no reason"),
        (Response(200, body=b"<html>"), "not JSON"),
        (Response(401, body=b'{"message":"expired"}'), "expired"),
    ],
)
def test_trouble_is_refused_and_deletes_nothing(response: Response, said: str):
    contacts = collection(Portal().schema("contacts"), "contacts")
    conversation = read_records(contacts, [(GRACE,)])
    next(conversation)
    with pytest.raises(Refused, match=said) as refused:
        conversation.send(response)
    assert refused.value.remedy

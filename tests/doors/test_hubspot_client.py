"""hubspot-api-client, with only its base URL changed, and the rows after each answer.

HubSpot's answers hold some properties, not all: the row is compared on those that the
answer says, and that it leaves the others as they were.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hubspot.crm.associations.v4.models import BatchInputPublicAssociationMultiPost
from hubspot.crm.contacts import (
    ApiException,
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchInputSimplePublicObjectId,
    PublicGdprDeleteInput,
    PublicMergeInput,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from neighbours.hubspot_house import HubSpotHouse

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL = {
    "email": "é.o'neil@example.com",
    "firstname": "Ünï ☃",
    "lastname": "",
    "house_number": "12.50",
    "house_flag": "false",
    "house_day": "2026-02-28",
    "house_moment": "2026-02-28T23:59:59Z",
    "house_kind": "red",
    "house_tags": "a;b",
}
TYPED: dict[str, Any] = {
    "email": "é.o'neil@example.com",
    "firstname": "Ünï ☃",
    "lastname": None,
    "house_number": Decimal("12.50"),
    "house_flag": False,
    "house_day": date(2026, 2, 28),
    "house_moment": datetime.fromisoformat("2026-02-28T23:59:59+00:00"),
    "house_kind": "red",
    "house_tags": ["a", "b"],
}


def new(**properties: str) -> SimplePublicObjectInputForCreate:
    return SimplePublicObjectInputForCreate(properties=properties, associations=[])


def changed(**properties: str) -> SimplePublicObjectInput:
    return SimplePublicObjectInput(properties=properties)


def row(house: HubSpotHouse, contact_id: str) -> dict[str, Any]:
    """The contact's row, checked against the sandbox's own record first."""
    found = house.rows("contact")[contact_id]
    truth = house.truth("contacts", contact_id)
    assert found["updated_at"] == datetime.fromisoformat(truth["updatedAt"])
    assert found["created_at"] == datetime.fromisoformat(truth["createdAt"])
    assert found["archived"] is truth["archived"]
    for name in ("email", "firstname", "house_kind"):
        assert found[name] == (truth["properties"].get(name) or None)
    return found


async def test_create_update_and_archive(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        contacts = hubspot.client().crm.contacts.basic_api
        made = contacts.create(simple_public_object_input_for_create=new(**FULL))
        assert {n: row(hubspot, made.id)[n] for n in TYPED} == TYPED
        contacts.update(made.id, simple_public_object_input=changed(house_number="7"))
        found = row(hubspot, made.id)
        assert {n: found[n] for n in TYPED} == {**TYPED, "house_number": 7}
        contacts.update(
            made.id, simple_public_object_input=changed(firstname="", house_tags="")
        )
        found = row(hubspot, made.id)
        assert (found["firstname"], found["house_tags"]) == (None, None)
        assert found["house_day"] == TYPED["house_day"]
        contacts.archive(made.id)
        assert hubspot.rows("contact")[made.id]["archived"] is True
        contacts.archive(made.id)  # a repeated archive is a 204 again
        assert hubspot.rows("contact")[made.id]["archived"] is True

    await asyncio.to_thread(scenario)


async def test_a_record_named_by_another_property(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        contacts = hubspot.client().crm.contacts.basic_api
        made = contacts.create(simple_public_object_input_for_create=new(email="p@q.example"))
        contacts.update(
            "p@q.example",
            id_property="email",
            simple_public_object_input=changed(firstname="by email"),
        )
        assert row(hubspot, made.id)["firstname"] == "by email"

    await asyncio.to_thread(scenario)


async def test_batches_upsert_and_archive(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        batch = hubspot.client().crm.contacts.batch_api
        inputs = [new(email=f"b{i}@example.com", firstname=f"f{i}") for i in range(5)]
        made = batch.create(
            batch_input_simple_public_object_batch_input_for_create=(
                BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs)
            )
        )
        ids = [result.id for result in made.results]
        assert {row(hubspot, i)["firstname"] for i in ids} == {f"f{i}" for i in range(5)}
        updates = [{"id": i, "properties": {"house_flag": "true"}} for i in ids[:2]]
        batch.update(
            batch_input_simple_public_object_batch_input=(
                BatchInputSimplePublicObjectBatchInput(inputs=updates)
            )
        )
        flags = [row(hubspot, i)["house_flag"] for i in ids]
        assert flags == [True, True, None, None, None]
        upserts = [
            {"id": e, "idProperty": "email", "properties": {"email": e, "firstname": "up"}}
            for e in ("b0@example.com", "brand@new.example")
        ]
        done = batch.upsert(
            batch_input_simple_public_object_batch_input_upsert=(
                BatchInputSimplePublicObjectBatchInputUpsert(inputs=upserts)
            )
        )
        assert ids[0] in {result.id for result in done.results}
        assert {row(hubspot, r.id)["firstname"] for r in done.results} == {"up"}
        batch.archive(
            batch_input_simple_public_object_id=BatchInputSimplePublicObjectId(
                inputs=[{"id": i} for i in ids]
            )
        )
        assert all(hubspot.rows("contact")[i]["archived"] for i in ids)

    await asyncio.to_thread(scenario)


async def test_a_207_commits_what_succeeded(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        inputs = [
            {"objectWriteTraceId": "1", "properties": {"email": "multi@status.example"}},
            {"objectWriteTraceId": "2", "properties": {"no_such_property": "x"}},
        ]
        answer = hubspot.post("/crm/v3/objects/contacts/batch/create", {"inputs": inputs})
        assert answer.status_code == 207
        (made,) = answer.json()["results"]
        assert row(hubspot, made["id"])["email"] == "multi@status.example"
        assert answer.headers["Httpproxy-Commit"].startswith("applied; rows=1; ")

    await asyncio.to_thread(scenario)


async def test_merge_moves_to_the_new_record(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        contacts = hubspot.client().crm.contacts.basic_api
        one = contacts.create(simple_public_object_input_for_create=new(email="m1@x.example"))
        two = contacts.create(simple_public_object_input_for_create=new(email="m2@x.example"))
        merged = contacts.merge(
            public_merge_input=PublicMergeInput(
                primary_object_id=one.id, object_id_to_merge=two.id
            )
        )
        assert row(hubspot, merged.id)["email"] == "m1@x.example"
        left = [i for i in {one.id, two.id} - {merged.id} if i in hubspot.rows("contact")]
        assert all(hubspot.rows("contact")[i]["archived"] for i in left)

    await asyncio.to_thread(scenario)


async def test_gdpr_delete_removes_the_row(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        contacts = hubspot.client().crm.contacts.basic_api
        for by_email in (False, True):
            email = f"gdpr{by_email}@x.example"
            made = contacts.create(simple_public_object_input_for_create=new(email=email))
            assert made.id in hubspot.rows("contact")
            named = (
                PublicGdprDeleteInput(object_id=email, id_property="email")
                if by_email
                else PublicGdprDeleteInput(object_id=made.id)
            )
            contacts.purge(public_gdpr_delete_input=named)
            assert made.id not in hubspot.rows("contact")

    await asyncio.to_thread(scenario)


async def test_associations(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        client = hubspot.client()
        contact = client.crm.contacts.basic_api.create(
            simple_public_object_input_for_create=new(email="assoc@x.example")
        )
        company = client.crm.companies.basic_api.create(
            simple_public_object_input_for_create={"properties": {"name": "Acme"}}
        )
        pair = (company.id, contact.id)
        v4 = client.crm.associations.v4
        v4.basic_api.create_default("contacts", contact.id, "companies", company.id)
        assert pair in hubspot.pairs()
        v4.basic_api.archive("companies", company.id, "contacts", contact.id)
        assert pair not in hubspot.pairs()
        spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}
        v4.batch_api.create(
            "contacts",
            "companies",
            batch_input_public_association_multi_post=BatchInputPublicAssociationMultiPost(
                inputs=[{"from": {"id": contact.id}, "to": {"id": company.id}, "types": [spec]}]
            ),
        )
        assert pair in hubspot.pairs()
        inputs = {"inputs": [{"from": {"id": contact.id}, "to": [{"id": company.id}]}]}
        answer = hubspot.post("/crm/v4/associations/contacts/companies/batch/archive", inputs)
        assert answer.status_code in (200, 204)
        assert pair not in hubspot.pairs()

    await asyncio.to_thread(scenario)


async def test_associations_of_the_legacy_paths(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        client = hubspot.client()
        contact = client.crm.contacts.basic_api.create(
            simple_public_object_input_for_create=new(email="v3@x.example")
        )
        company = client.crm.companies.basic_api.create(
            simple_public_object_input_for_create={"properties": {"name": "v3"}}
        )
        pair = (company.id, contact.id)
        one = {"from": {"id": contact.id}, "to": {"id": company.id}}
        inputs = {"inputs": [{**one, "type": "contact_to_company"}]}
        root = "/crm/v3/associations/contacts/companies/batch"
        assert hubspot.post(f"{root}/create", inputs).ok
        assert pair in hubspot.pairs()
        assert hubspot.post(f"{root}/archive", inputs).ok
        assert pair not in hubspot.pairs()

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize(
    "family", ["/crm/v3/objects", "/crm/objects/v3", "/crm/objects/2026-03"]
)
@pytest.mark.parametrize("spelling", ["contacts", "contact", "0-1"])
async def test_every_path_family_and_spelling_reaches_the_table(
    family: str, spelling: str, hubspot: HubSpotHouse
) -> None:
    def scenario() -> None:
        email = f"{family.replace('/', '.')[1:]}.{spelling}@x.example"
        answer = hubspot.post(f"{family}/{spelling}", {"properties": {"email": email}})
        assert answer.status_code == 201
        assert row(hubspot, answer.json()["id"])["email"] == email

    await asyncio.to_thread(scenario)


async def test_calls_that_the_client_spells_itself(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        answer = hubspot.client().api_request(
            {
                "method": "POST",
                "path": "/crm/v3/objects/contacts",
                "body": {"properties": {"email": "raw@x.example"}},
            }
        )
        assert row(hubspot, answer.json()["id"])["email"] == "raw@x.example"

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
async def test_compressed_answers_are_committed(coding: str, hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        hubspot.apis.order({"kind": "compress", "coding": coding, "method": "POST"})
        email = f"{coding}@x.example"
        answer = hubspot.post("/crm/v3/objects/contacts", {"properties": {"email": email}})
        assert answer.headers["Content-Encoding"] == coding
        assert answer.headers["Httpproxy-Commit"].startswith("applied; rows=1; ")
        found = [r for r in hubspot.rows("contact").values() if r["email"] == email]
        assert len(found) == 1

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize("text", ["a\0b", "\U0001f600", "x" * 60_000])
async def test_values_that_postgres_cannot_hold_never_fail_an_answer(
    text: str, hubspot: HubSpotHouse
) -> None:
    def scenario() -> None:
        body = {"properties": {"firstname": text}}
        answer = hubspot.post("/crm/v3/objects/contacts", body)
        assert answer.status_code == 201
        kept = text.replace("\0", "\ufffd")
        assert hubspot.rows("contact")[answer.json()["id"]]["firstname"] == kept

    await asyncio.to_thread(scenario)


async def test_an_unknown_property_is_kept_and_becomes_a_column(hubspot: HubSpotHouse) -> None:
    def create() -> str:
        hubspot.add_property("added_later", "number", "number")
        made = hubspot.client().crm.contacts.basic_api.create(
            simple_public_object_input_for_create=new(added_later="1.5")
        )
        return str(made.id)

    made = await asyncio.to_thread(create)

    async def row() -> dict[str, Any]:  # in a thread: the table is changed in this loop
        return (await asyncio.to_thread(hubspot.rows, "contact"))[made]

    first = await row()
    assert Decimal(first.get("added_later", (first["_extra"] or {}).get("added_later"))) == (
        Decimal("1.5")
    )
    async with asyncio.timeout(60):  # the column is there before what is in it
        while (await row()).get("added_later") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    found = await row()
    assert found["added_later"] == Decimal("1.5")
    assert "added_later" not in (found["_extra"] or {})


async def test_what_the_api_refuses_changes_nothing_and_reads_as_its_own_words(
    hubspot: HubSpotHouse,
) -> None:
    def scenario() -> None:
        contacts = hubspot.client().crm.contacts.basic_api
        contacts.create(simple_public_object_input_for_create=new(email="twice@x.example"))
        before = hubspot.rows("contact")
        with pytest.raises(ApiException) as failed:
            contacts.create(simple_public_object_input_for_create=new(email="twice@x.example"))
        assert failed.value.status == 409
        assert "Contact already exists" in failed.value.body
        assert hubspot.rows("contact") == before

    await asyncio.to_thread(scenario)


async def test_our_own_refusal_is_readable(hubspot: HubSpotHouse) -> None:
    def scenario() -> None:
        contacts = hubspot.client(hubspot.other_token).crm.contacts.basic_api
        with pytest.raises(ApiException) as failed:
            contacts.create(simple_public_object_input_for_create=new(email="o@x.example"))
        assert failed.value.status == 403
        assert "httpproxy: token_of_another_account" in failed.value.body
        # @hubspot/api-client shows message, category and correlationId of the body.
        body = hubspot.post(
            "/crm/v3/objects/contacts", {"properties": {}}, hubspot.other_token
        ).json()
        assert body["message"]
        assert body["category"]
        assert body["correlationId"] == body["request_id"]

    await asyncio.to_thread(scenario)

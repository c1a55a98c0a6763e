"""hubspot-api-client against the simulator, over a socket: its users' own tests, in short."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.contacts import ApiException
from hubspot_portal import ANALYTICAL, CHARLES, COMPILERS, GRACE, MARY

from providers.http import Request, headers
from providers.hubspot.sandbox.kit import TOKEN, create
from providers.hubspot.sandbox.server import HubSpotSandbox


def serving(sandbox: HubSpotSandbox) -> ThreadingHTTPServer:
    """The simulator behind a port of the loopback."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pairs = headers(*self.headers.items())
            request = Request(self.command, "api.hubapi.com", self.path, pairs, body)
            with turn:
                response = sandbox.handle(request, time.time_ns() / 1e9)
            self.send_response(response.status, response.reason)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 -- the library's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def client() -> Iterator[HubSpot]:
    with serving(create(requests_per_ten_seconds=10_000, searches_per_second=100)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield HubSpot(access_token=TOKEN, host=url, base_url=url)
        finally:
            server.shutdown()
            thread.join()


def test_one_contact_at_a_time(client: HubSpot):
    contacts = client.crm.contacts.basic_api
    body = {"properties": {"email": "one@example.com", "score": "17"}, "associations": []}
    made = contacts.create(simple_public_object_input_for_create=body)
    assert made.properties["score"] == "17"
    changed = contacts.update(
        made.id, simple_public_object_input={"properties": {"firstname": "One"}}
    )
    assert changed.properties["firstname"] == "One"
    by_email = {"properties": {"firstname": "First"}}
    contacts.update("one@example.com", id_property="email", simple_public_object_input=by_email)
    read = contacts.get_by_id(made.id, properties=["firstname", "score"], archived=False)
    assert (read.properties["firstname"], read.properties["score"]) == ("First", "17")
    assert read.updated_at >= made.updated_at
    contacts.archive(made.id)
    contacts.archive(made.id)
    with pytest.raises(ApiException) as missing:
        contacts.get_by_id(made.id)
    assert missing.value.status == 404
    assert contacts.get_by_id(made.id, archived=True).archived is True


def test_a_conflict_is_an_exception_with_the_vendors_body(client: HubSpot):
    body = {"properties": {"email": "grace@compilers.example"}, "associations": []}
    with pytest.raises(ApiException) as conflict:
        client.crm.contacts.basic_api.create(simple_public_object_input_for_create=body)
    assert conflict.value.status == 409
    assert f"Existing ID: {GRACE}" in conflict.value.body


def test_batches(client: HubSpot):
    batch = client.crm.contacts.batch_api
    people: list[dict[str, Any]] = [
        {"properties": {"email": f"b{n}@example.com"}, "associations": []} for n in range(3)
    ]
    made = batch.create(
        batch_input_simple_public_object_batch_input_for_create={"inputs": people}
    )
    ids = [each.id for each in made.results]
    assert (made.status, len(ids)) == ("COMPLETE", 3)
    changes = [{"id": i, "properties": {"score": "5"}} for i in ids]
    changed = batch.update(batch_input_simple_public_object_batch_input={"inputs": changes})
    assert {each.properties["score"] for each in changed.results} == {"5"}
    upserts = [
        {"id": e, "idProperty": "email", "properties": {"firstname": "U"}}
        for e in ("b0@example.com", "fresh@example.com")
    ]
    done = batch.upsert(batch_input_simple_public_object_batch_input_upsert={"inputs": upserts})
    assert {each.id: each.new for each in done.results}[ids[0]] is False
    wanted = {"inputs": [{"id": i} for i in (ids[0], "404")], "properties": ["firstname"]}
    wanted |= {"propertiesWithHistory": []}
    read = batch.read(batch_read_input_simple_public_object_id=wanted)
    assert [each.properties["firstname"] for each in read.results] == ["U"]
    assert (read.num_errors, read.errors[0].category) == (1, "OBJECT_NOT_FOUND")
    batch.archive(batch_input_simple_public_object_id={"inputs": [{"id": i} for i in ids]})
    gone = batch.read(batch_read_input_simple_public_object_id=wanted)
    assert gone.results == []


def test_a_batch_with_traces_succeeds_in_part(client: HubSpot):
    people = [
        {"properties": {"email": e}, "associations": [], "objectWriteTraceId": e}
        for e in ("part@example.com", "nobody")
    ]
    done = client.crm.contacts.batch_api.create(
        batch_input_simple_public_object_batch_input_for_create={"inputs": people}
    )
    assert (done.num_errors, len(done.results)) == (1, 1)
    assert done.errors[0].context == {"objectWriteTraceId": ["nobody"]}


def test_paging_to_the_end(client: HubSpot):
    pages = client.crm.contacts.basic_api
    seen, after = [], None
    while True:
        page = pages.get_page(limit=2, after=after)
        seen += [each.id for each in page.results]
        if page.paging is None:
            break
        after = page.paging.next.after
    assert seen == [each.id for each in client.crm.contacts.get_all()]
    assert {CHARLES, GRACE, MARY} <= set(seen)
    assert len(seen) == len(set(seen)) >= 3


def test_search(client: HubSpot):
    wanted = {
        "propertyName": "email",
        "operator": "CONTAINS_TOKEN",
        "value": "*compilers.example",
    }
    query = {
        "filterGroups": [{"filters": [wanted]}],
        "sorts": ["-createdate"],
        "properties": ["email"],
        "limit": 10,
    }
    found = client.crm.contacts.search_api.do_search(public_object_search_request=query)
    assert (found.total, found.results[0].id) == (1, GRACE)


def test_merging_and_deleting_for_good(client: HubSpot):
    contacts = client.crm.contacts.basic_api
    one, other = (
        contacts.create(
            simple_public_object_input_for_create={
                "properties": {"email": e},
                "associations": [],
            }
        )
        for e in ("m1@example.com", "m2@example.com")
    )
    pair = {"primaryObjectId": one.id, "objectIdToMerge": other.id}
    merged = contacts.merge(public_merge_input=pair)
    assert merged.id not in (one.id, other.id)
    assert contacts.get_by_id(other.id).id == merged.id
    contacts.purge(
        public_gdpr_delete_input={"objectId": "m1@example.com", "idProperty": "email"}
    )
    with pytest.raises(ApiException) as missing:
        contacts.get_by_id(merged.id)
    assert missing.value.status == 404


def test_associations_of_version_four(client: HubSpot):
    v4 = client.crm.associations.v4
    done = v4.basic_api.create_default("contacts", MARY, "companies", COMPILERS)
    assert {each._from.id for each in done.results} == {MARY, COMPILERS}
    label = {"associationCategory": "USER_DEFINED", "associationTypeId": 1001}
    made = v4.basic_api.create("contacts", MARY, "companies", ANALYTICAL, [label])
    assert made.labels == ["Adviser"]
    page = v4.basic_api.get_page("contacts", MARY, "companies")
    found = {str(e.to_object_id): [t.label for t in e.association_types] for e in page.results}
    assert found == {COMPILERS: [None], ANALYTICAL: ["Adviser", None]}
    read = v4.batch_api.get_page(
        "companies",
        "contacts",
        batch_input_public_fetch_associations_batch_request={"inputs": [{"id": ANALYTICAL}]},
    )
    labels = {t.label for e in read.results[0].to for t in e.association_types}
    assert "Advised by" in labels
    inputs = [{"from": {"id": MARY}, "to": {"id": ANALYTICAL}, "types": [label]}]
    v4.batch_api.archive_labels(
        "contacts", "companies", batch_input_public_association_multi_post={"inputs": inputs}
    )
    page = v4.basic_api.get_page("contacts", MARY, "companies")
    assert {t.label for e in page.results for t in e.association_types} == {None}
    v4.basic_api.archive("contacts", MARY, "companies", ANALYTICAL)
    v4.batch_api.archive(
        "contacts",
        "companies",
        batch_input_public_association_multi_archive={
            "inputs": [{"from": {"id": MARY}, "to": [{"id": COMPILERS}]}]
        },
    )
    assert v4.basic_api.get_page("contacts", MARY, "companies").results == []


def test_properties_pipelines_schemas_and_owners(client: HubSpot):
    core = client.crm.properties.core_api
    new = {"name": "size", "label": "S", "type": "number", "fieldType": "number"}
    made = core.create("contacts", property_create={**new, "groupName": "information"})
    assert (made.type, made.has_unique_value) == ("number", False)
    assert core.update("contacts", "size", property_update={"label": "T"}).label == "T"
    assert "size" in [each.name for each in core.get_all("contacts").results]
    core.archive("contacts", "size")
    (pipeline,) = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert [stage.id for stage in pipeline.stages][-1] == "closedlost"
    assert len(client.crm.owners.get_all()) == 2
    schemas = client.crm.schemas.core_api
    car = schemas.create(
        object_schema_egg={
            "name": "car",
            "labels": {"singular": "Car", "plural": "Cars"},
            "requiredProperties": [],
            "properties": [],
            "associatedObjects": ["CONTACT"],
        }
    )
    assert [each.name for each in schemas.get_all().results] == ["car"]
    assert car.fully_qualified_name == "p48000001_car"
    schemas.archive(car.object_type_id)


def test_the_clients_own_request_method(client: HubSpot):
    answer = client.api_request(
        {"method": "GET", "path": "/crm/objects/2026-03/contacts?limit=1"}
    )
    assert answer.json()["results"][0]["id"] == CHARLES

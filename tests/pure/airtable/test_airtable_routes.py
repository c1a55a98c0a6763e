"""The route table: which call is a write, a read or an effect."""

from __future__ import annotations

import pytest
from airtable_calls import API, CONTENT, ROUTER
from hypothesis import given
from hypothesis import strategies as st

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.server import HANDLERS
from providers.spec import Action

CALLS = [
    ("GET", "/v0/appX/Tasks", "list records"),
    ("POST", "/v0/appX/Tasks/listRecords", "list records by POST"),
    ("GET", "/v0/appX/Tasks/recA", "get record"),
    ("POST", "/v0/appX/Tasks", "create records"),
    ("POST", "//v0/appX/Tasks/", "create records"),
    ("PATCH", "/v0/appX/tblA", "update records"),
    ("PUT", "/v0/appX/tblA", "replace records"),
    ("PATCH", "/v0/appX/Tasks/recA", "update record"),
    ("PUT", "/v0/appX/Tasks/recA/", "replace record"),
    ("DELETE", "/v0/appX/Tasks", "delete records"),
    ("DELETE", "/v0/appX/Tasks/recA", "delete record"),
    ("POST", "/v0/appX/Tasks/sync/synA", "sync CSV into table"),
    ("GET", "/v0/appX/Tasks/recA/comments", "list comments"),
    ("POST", "/v0/appX/Tasks/recA/comments", "create comment"),
    ("PATCH", "/v0/appX/Tasks/recA/comments/comA", "update comment"),
    ("DELETE", "/v0/appX/Tasks/recA/comments/comA", "delete comment"),
    ("GET", "/v0/meta/whoami", "who am I"),
    ("GET", "/v0/meta/bases", "list bases"),
    ("POST", "/v0/meta/bases", "create base"),
    ("GET", "/v0/meta/bases/appX", "get base"),
    ("GET", "/v0/meta/bases/appX/tables", "list tables"),
    ("POST", "/v0/meta/bases/appX/tables", "create table"),
    ("PATCH", "/v0/meta/bases/appX/tables/tblA", "update table"),
    ("POST", "/v0/meta/bases/appX/tables/tblA/fields", "create field"),
    ("PATCH", "/v0/meta/bases/appX/tables/tblA/fields/fldA", "update field"),
    ("GET", "/v0/meta/bases/appX/shares", "read other metadata"),
    ("POST", "/v0/meta/bases/appX/collaborators", "create other metadata"),
    ("PATCH", "/v0/meta/bases/appX/shares/shrA", "update other metadata"),
    ("PUT", "/v0/meta/bases/appX/shares/shrA", "replace other metadata"),
    ("DELETE", "/v0/meta/bases/appX/shares/shrA", "delete other metadata"),
    ("GET", "/v0/bases/appX/webhooks", "list webhooks"),
    ("POST", "/v0/bases/appX/webhooks", "create webhook"),
    ("GET", "/v0/bases/appX/webhooks/achA/payloads", "list webhook payloads"),
    ("POST", "/v0/bases/appX/webhooks/achA/refresh", "refresh webhook"),
    (
        "POST",
        "/v0/bases/appX/webhooks/achA/enableNotifications",
        "switch webhook notifications",
    ),
    ("DELETE", "/v0/bases/appX/webhooks/achA", "delete webhook"),
]
HOSTILE = [
    "v0", "meta", "bases", "..", ".", "%2e%2e", "%2F", "%", "%ff", "{base}", "webhooks",
    "listRecords", "sync", "",
]  # fmt: skip
WRITES = {
    "create records", "update records", "replace records", "update record", "replace record",
    "delete records", "delete record", "upload attachment",
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "name"), CALLS)
def test_a_documented_call_finds_its_route(method, path, name):
    match = ROUTER.match(method, API, path)
    assert match is not None
    assert match.route.name == name


def test_the_cases_here_are_the_whole_table():
    assert {name for _, _, name in CALLS} | {"upload attachment"} == {
        route.name for route in AIRTABLE.routes
    }


def test_writes_are_those_whose_answers_show_records():
    assert {r.name for r in AIRTABLE.routes if r.action is Action.WRITE} == WRITES


def test_a_post_that_lists_is_a_read():
    match = ROUTER.match("POST", API, "/v0/appX/Tasks/listRecords")
    assert match is not None
    assert match.route.action is Action.READ
    assert match.route.read is None


def test_uploads_live_on_the_content_host_and_nowhere_else():
    path = "/v0/appX/recA/Files/uploadAttachment"
    match = ROUTER.match("POST", CONTENT, path)
    assert match is not None
    assert match.route.name == "upload attachment"
    assert match.variables == {"base": "appX", "record": "recA", "field": "Files"}
    assert ROUTER.match("POST", API, path) is None
    assert ROUTER.match("POST", CONTENT, "/v0/appX/Tasks") is None


def test_a_table_name_is_decoded_after_the_path_is_split():
    match = ROUTER.match("POST", API, "/v0/appX/My%20Table%2F%C3%A4")
    assert match is not None
    assert match.variables["table"] == "My Table/ä"


def test_every_route_that_writes_names_the_base():
    named = [
        r for r in AIRTABLE.routes if r.action is not Action.READ and r.name != "create base"
    ]
    assert all("{base}" in route.path for route in named)


def test_the_simulator_answers_every_route():
    assert set(HANDLERS) == {route.name for route in AIRTABLE.routes}


@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "*", "", "get"]),
    parts=st.lists(
        st.sampled_from(HOSTILE) | st.text(max_size=4),
        max_size=9,
    ),
)
def test_no_path_however_hostile_raises(method, parts):
    match = ROUTER.match(method, API, "/" + "/".join(parts))
    assert match is None or match.route in AIRTABLE.routes

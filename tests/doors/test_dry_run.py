"""A dry run tells what a call would do, and the API hears nothing of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.door import Door
from neighbours.house import BASE, add_sync, open_house
from neighbours.hubspot_house import HubSpotHouse, open_hubspot
from neighbours.rawclient import Answer, request_bytes
from neighbours.recorder import Recorder, http
from neighbours.syncs import followed

from httpproxy.store.errors import Unavailable
from httpproxy.store.sync.rows import Rows
from providers.catalog import PROVIDERS

pytestmark = pytest.mark.asyncio(loop_scope="module")

AIRTABLE, HUBSPOT = "api.airtable.com", "api.hubapi.com"
OWN = "pat-of-the-sync-itself"
TASKS = f"/v0/{BASE}/Tasks"
PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()
DRY = ("Httpproxy-Dry-Run", "?1")


async def ask(
    door: Door,
    method: str,
    target: str,
    body: Any = None,
    *,
    host: str = AIRTABLE,
    token: str | None = OWN,
    headers: tuple[tuple[str, str], ...] = (DRY,),
) -> Answer:
    content = (
        None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    pairs = [("Content-Type", "application/json"), *headers]
    if token is not None:
        pairs.append(("Authorization", f"Bearer {token}"))
    async with door.connect() as client:
        return await client.exchange(
            request_bytes(method, door.root(host) + target, pairs, content)
        )


async def told(door: Door, *args: Any, **options: Any) -> dict[str, Any]:
    answer = await ask(door, *args, **options)
    assert answer.status == 200, answer.body
    return answer.json()


@pytest.fixture(scope="module")
def row(door: Door, module_dsn: str) -> str:
    """The id of a row that is there."""
    with psycopg.connect(module_dsn) as connection:
        connection.execute("INSERT INTO airtable_house.tasks (id, name) VALUES ('rec1', 'Old')")
    return "rec1"


async def test_the_api_hears_nothing_and_the_answer_says_what_it_would(
    door: Door, row: str, upstream: Recorder
) -> None:
    body = {"fields": {"Name": "New", "Nmae": 1}}
    answer = await ask(door, "PATCH", f"{TASKS}/{row}?x=%2F", body, headers=(DRY, ("X-A", "1")))
    assert answer.status == 200
    assert answer.get("Proxy-Status") == 'httpproxy; details="dry-run"'
    assert answer.get("Httpproxy-Commit").startswith("none; rows=0; request-id=")
    assert answer.get("Cache-Control") == "no-store"
    found = answer.json()
    assert (found["source"], found["dry_run"]) == ("proxy", True)
    assert found["request_id"] in answer.get("Httpproxy-Commit")
    request: Any = found["request"]
    assert request["method"] == "PATCH"
    assert request["url"] == f"https://{AIRTABLE}{TASKS}/rec1?x=%2F"
    assert request["body"] == body
    sent = dict(request["headers"])
    assert sent["X-A"] == "1"
    assert sent["Authorization"] == "…"
    assert sent["Via"] == "1.1 httpproxy"
    assert "httpproxy-dry-run" not in {name.lower() for name in sent}
    assert OWN.encode() not in answer.body
    assert found["changes"] == [
        {
            "collection": "Tasks",
            "table": "airtable_house.tasks",
            "kind": "update",
            "key": {"id": "rec1"},
            "current": {"name": "Old"},
            "new": {"name": "New"},
        }
    ]
    assert found["faults"] == [
        '"Tasks" has no field "Nmae"; near it: "Name". Use one that is there.'
    ]
    assert found["permits"] == {
        "budget": "standard",
        "cost": 1,
        "expected_wait": 0.0,
        "limit": {
            "allowed_requests": 1_000_000,
            "interval": 1.0,
            "max_concurrent_requests": 0,
        },
    }
    assert re.match(r"\d{4}-\d\d-\d\dT", str(found["schema_as_of"]))
    assert upstream.seen == []


async def test_nothing_is_written_and_no_intent_is_kept(
    door: Door, row: str, module_dsn: str, upstream: Recorder
) -> None:
    await told(door, "DELETE", f"{TASKS}/{row}")
    await told(
        door, "POST", TASKS, {"fields": {"Name": "x"}}, headers=(DRY, ("Idempotency-Key", "k"))
    )
    with psycopg.connect(module_dsn) as connection:
        counted = connection.execute(
            "SELECT (SELECT count(*) FROM airtable_house.tasks),"
            " (SELECT count(*) FROM httpproxy.intent),"
            " (SELECT count(*) FROM httpproxy.idempotency),"
            " (SELECT count(*) FROM httpproxy.dirty)"
        ).fetchone()
    assert counted == (1, 0, 0, 0)
    assert upstream.seen == []


async def test_each_kind_shows_the_row_as_it_is(
    door: Door, row: str, upstream: Recorder
) -> None:
    gone: Any = (await told(door, "DELETE", f"{TASKS}/{row}"))["changes"][0]
    assert (gone["kind"], gone["key"]) == ("delete", {"id": "rec1"})
    assert gone["current"]["name"] == "Old"
    assert set(gone["current"]) == {"id", "created_time", "name"}
    assert "new" not in gone
    made: Any = (await told(door, "POST", TASKS, {"fields": {"Name": "x"}}))["changes"][0]
    assert (made["kind"], made["key"], made["current"]) == ("create", None, None)
    absent: Any = (await told(door, "PATCH", f"{TASKS}/rec2", {"fields": {"Name": "x"}}))[
        "changes"
    ]
    assert (absent[0]["key"], absent[0]["current"]) == ({"id": "rec2"}, None)
    merged = {
        "performUpsert": {"fieldsToMergeOn": ["Name"]},
        "records": [{"fields": {"Name": "Old"}}, {"fields": {"Name": "Nobody"}}],
    }
    found: Any = (await told(door, "PATCH", TASKS, merged))["changes"]
    assert [each["match"] for each in found] == [{"name": "Old"}, {"name": "Nobody"}]
    assert [each["key"] for each in found] == [{"id": "rec1"}, None]
    assert [each["current"] for each in found] == [{"name": "Old"}, None]
    assert upstream.seen == []


async def test_a_read_changes_nothing_and_an_effect_says_what_it_touches(
    door: Door, upstream: Recorder
) -> None:
    read = await told(door, "GET", f"{TASKS}?maxRecords=1")
    assert (read["changes"], read["faults"]) == ([], [])
    synced = await told(door, "POST", f"{TASKS}/sync/x", b"Name\nx")
    assert synced["changes"] == [
        {"collection": "Tasks", "table": "airtable_house.tasks", "kind": "touch", "key": None}
    ]
    assert "body" not in synced["request"]
    assert upstream.seen == []


async def test_of_many_records_some_are_shown_and_the_rest_counted(
    door: Door, upstream: Recorder
) -> None:
    many = {"records": [{"fields": {"Nme": n}} for n in range(300)]}
    found = await told(door, "POST", TASKS, many)
    assert (len(found["changes"]), found["more_changes"]) == (200, 100)
    assert found["faults"][0] == (
        "Record 1: There are 300 records; Airtable takes 10 in a call. Send them in several."
    )
    assert found["faults"][2].startswith('Record 2: "Tasks" has no field "Nme"')
    assert len(found["faults"]) == 100
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is empty."),
        (b"\xff\xfe", "The request's body cannot be read:"),
        (b'{"fields": {"Name": ' + b"[" * 300 + b"]" * 300 + b"}}", '"Name" takes text'),
        (b'{"fields": {"Name": "\\u0000"}}', None),
    ],
)
async def test_whatever_the_body_the_answer_is_whole(
    door: Door, upstream: Recorder, body: bytes, said: str | None
) -> None:
    found = await told(door, "POST", TASKS, body)
    if said is None:
        assert found["faults"] == []
    else:
        assert any(said in fault for fault in found["faults"]), found["faults"]
    assert upstream.seen == []


@pytest.mark.parametrize("value", ["1", "true", "?2", "", "?1, ?0", "?1;a=1", " ?1 ,"])
async def test_what_is_no_boolean_is_refused_and_never_sent(
    door: Door, upstream: Recorder, value: str
) -> None:
    answer = await ask(door, "DELETE", f"{TASKS}/rec1", headers=((DRY[0], value),))
    assert (answer.status, answer.json()["code"]) == (400, "bad_header")
    twice = await ask(door, "DELETE", f"{TASKS}/rec1", headers=((DRY[0], "?0"), DRY))
    assert twice.status == 400
    assert upstream.seen == []


async def test_a_dry_run_that_connection_names_is_one_all_the_same(
    door: Door, upstream: Recorder
) -> None:
    headers = (("Connection", f"close, {DRY[0]}"), DRY)
    assert (await told(door, "DELETE", f"{TASKS}/rec1", headers=headers))["dry_run"] is True
    assert upstream.seen == []


async def test_no_dry_run_is_a_call_without_the_header(door: Door, upstream: Recorder) -> None:
    upstream.replies.append(http(404, body=b'{"error":"NOT_FOUND"}'))
    answer = await ask(door, "DELETE", f"{TASKS}/rec9", headers=((DRY[0], "?0"),))
    assert answer.status == 404
    (seen,) = upstream.seen
    assert seen.all(DRY[0]) == []


@pytest.mark.parametrize("token", ["pat-of-somebody-else", None, ""])
async def test_a_token_that_is_not_the_syncs_is_shown_nothing(
    door: Door, row: str, upstream: Recorder, token: str | None
) -> None:
    answer = await ask(door, "PATCH", f"{TASKS}/{row}", {"fields": {"Nam": 1}}, token=token)
    assert (answer.status, answer.json()["code"]) == (403, "token_unproven")
    assert b"Old" not in answer.body
    assert b"Name" not in answer.body
    assert upstream.seen == []


async def test_address_and_account_are_checked_as_for_a_real_call(
    door: Door, upstream: Recorder
) -> None:
    for target, code in (
        ("/v0/appOther00000000/Tasks", "path_of_another_account"),
        ("/v1/nothing", "unsupported_path"),
    ):
        answer = await ask(door, "POST", target, {"fields": {}})
        assert answer.json()["code"] == code
    too_long = await ask(door, "POST", TASKS, b" " * (4 * 1024 * 1024))
    assert too_long.json()["code"] == "body_too_large"
    assert upstream.seen == []


async def test_hubspot_is_not_asked_whose_the_syncs_own_token_is(
    hub: Door, upstream: Recorder
) -> None:
    target = "/crm/v3/objects/contacts/x%40y.z?idProperty=nope"
    found = await told(hub, "PATCH", target, {"properties": {}}, host=HUBSPOT)
    (fault,) = found["faults"]
    assert fault.startswith('`idProperty`: contact has no property "nope"; there are: "Name".')
    assert upstream.seen == []


async def test_hubspot_is_asked_whose_another_token_is_and_nothing_else(
    hub: Door, upstream: Recorder
) -> None:
    asked = "/oauth/v2/private-apps/get/access-token-info"
    upstream.by_target[asked] = http(200, body=b'{"hubId": 123456}')
    target = "/crm/v3/objects/contacts"
    found = await told(hub, "POST", target, {}, host=HUBSPOT, token="pat-another")
    assert found["faults"] == [
        "A record needs `properties`, an object of property names and values."
    ]
    assert upstream.targets() == [asked]
    upstream.by_target[asked] = http(200, body=b'{"hubId": 654321}')
    other = await ask(hub, "POST", target, {}, host=HUBSPOT, token="pat-a-stranger")
    assert other.json()["code"] == "token_of_another_account"
    upstream.by_target[asked] = http(401, body=b"{}")
    nobody = await ask(hub, "POST", target, {}, host=HUBSPOT, token="pat-nobody")
    assert nobody.json()["code"] == "token_unproven"
    assert set(upstream.targets()) == {asked}


async def test_the_wait_is_what_a_call_would_wait_now(
    database_dsn: str, tmp_path: Path, recorder: Recorder
) -> None:
    async with open_house(database_dsn, tmp_path, recorder.url) as slow:
        door = slow.door(await add_sync(slow, "airtable", allowed_requests=1, interval=30.0))
        before: Any = (await told(door, "GET", TASKS))["permits"]
        await ask(door, "GET", TASKS, headers=())
        after: Any = (await told(door, "GET", TASKS))["permits"]
    assert before["expected_wait"] == 0.0
    assert 25.0 < after["expected_wait"] <= 30.0
    assert after["limit"] == {
        "allowed_requests": 1,
        "interval": 30.0,
        "max_concurrent_requests": 0,
    }


async def test_a_database_that_is_away_is_said_so(
    door: Door, monkeypatch: pytest.MonkeyPatch, upstream: Recorder
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(Rows, "told_at", away)
    answer = await ask(door, "POST", TASKS, {"fields": {}})
    assert (answer.status, answer.json()["code"]) == (502, "database_unavailable")
    assert upstream.seen == []


async def test_a_column_that_has_just_been_renamed_is_told_by_its_new_name(
    database_dsn: str, tmp_path: Path, recorder: Recorder
) -> None:
    async with open_house(database_dsn, tmp_path, recorder.url) as house:
        sync = await add_sync(house, "airtable")
        door, registry = house.door(sync), house.service.office.registry
        with psycopg.connect(database_dsn) as connection:
            connection.execute(
                "INSERT INTO airtable_house.tasks (id, name) VALUES ('rec1', 'Old')"
            )
        patch = ("PATCH", f"{TASKS}/rec1", {"fields": {"fldName0000000001": "New"}})
        assert (await told(door, *patch))["changes"][0]["new"] == {"name": "New"}
        (tasks,) = (await registry.tables(sync)).schema.collections
        renamed = [
            replace(f, name="Title") if f.id == "fldName0000000001" else f for f in tasks.fields
        ]
        await followed(registry, sync, [replace(tasks, fields=tuple(renamed))])
        change = (await told(door, *patch))["changes"][0]
    assert (change["current"], change["new"]) == ({"title": "Old"}, {"title": "New"})


# --- against the sandboxes --------------------------------------------------------------


async def test_the_example_of_the_page_is_what_comes(database_dsn: str, tmp_path: Path) -> None:
    async with open_airtable(database_dsn, tmp_path, tables=("Tasks", "Projects")) as demo:
        await _follow_the_page(demo)


async def _follow_the_page(demo: AirtableHouse) -> None:
    (section,) = re.findall(r"^## Dry run\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    (shell,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    (shown,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    (method,), (path,), (body,) = (
        re.findall(pattern, shell) for pattern in (r"-X (\w+)", r'"\$ROOT(\S+)"', r"-d '(.*)'")
    )
    target = path.replace("$BASE", demo.sync.account)
    door, real = demo.house.door(demo.sync), PROVIDERS["airtable"].sandbox.token
    # The row has to be there: any write of it commits it whole.
    written = await ask(
        door, method, target, {"fields": {"Notes": "x"}}, token=real, headers=()
    )
    assert written.status == 200
    found = await told(door, method, target, body.encode(), token=real)
    expected = json.loads(shown)
    for name in ("request_id", "schema_as_of"):
        assert found.pop(name)
        expected.pop(name)
    headers = dict(found["request"].pop("headers"))
    assert dict(expected["request"].pop("headers")).items() <= headers.items()
    assert found == expected


async def test_a_dry_run_of_hubspot_shows_the_row_that_an_email_names(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path) as hubspot:
        await _named_by_email(hubspot)


async def _named_by_email(hubspot: HubSpotHouse) -> None:
    door, token = hubspot.house.door(hubspot.sync), PROVIDERS["hubspot"].sandbox.token
    made = await ask(
        door,
        "POST",
        "/crm/v3/objects/contacts",
        {"properties": {"email": "dry@example.com", "firstname": "Dry"}},
        host=HUBSPOT,
        token=token,
        headers=(),
    )
    assert made.status == 201
    target = "/crm/v3/objects/contacts/DRY%40example.com?idProperty=email"
    found = await told(
        door, "PATCH", target, {"properties": {"firstname": "Wet"}}, host=HUBSPOT, token=token
    )
    (change,) = found["changes"]
    assert change["match"] == {"email": "dry@example.com"}
    assert change["key"] == {"id": str(made.json()["id"])}
    assert (change["current"], change["new"]) == ({"firstname": "Dry"}, {"firstname": "Wet"})
    assert found["faults"] == []

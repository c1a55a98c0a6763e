"""The simulator's other routes: metadata, webhooks, comments, uploads, CSV."""

from __future__ import annotations

from base64 import b64encode

import pytest
from airtable_calls import CONTENT, Account

from providers.airtable.sandbox.seed import BASE, READER_TOKEN

META = f"//v0/meta/bases/{BASE}"
HOOKS = f"//v0/bases/{BASE}/webhooks"
TASKS, PROJECTS = "tblTasks000000000", "tblProjects000000"
PLAN, CALL, GEMINI = "recPlan0000000000", "recCall0000000000", "recGemini00000000"
DAY = 86_400.0


@pytest.fixture
def account() -> Account:
    return Account()


# Metadata --------------------------------------------------------------------------


def test_tables_are_described_with_fields_and_views(account):
    tasks, _ = account.get(f"{META}/tables").json["tables"]
    assert tasks.keys() == {"id", "name", "primaryFieldId", "fields", "views"}
    assert tasks["primaryFieldId"] == tasks["fields"][0]["id"]
    assert "aggregation" not in str(tasks)
    (view,) = account.get(f"{META}/tables?include=visibleFieldIds").json["tables"][1]["views"]
    assert len(view["visibleFieldIds"]) == 4


def test_a_new_table_can_be_written_to_at_once(account):
    fields = [{"name": "Title", "type": "singleLineText"}, {"name": "N", "type": "number"}]
    made = account.post(f"{META}/tables", {"name": "New one", "fields": fields}).json
    assert made["primaryFieldId"] == made["fields"][0]["id"]
    assert account.post("/New%20one", {"fields": {"Title": "x", "N": 1}}).status == 200


def test_a_new_link_makes_its_inverse(account):
    asked = {
        "name": "Blocked by",
        "type": "multipleRecordLinks",
        "options": {"linkedTableId": PROJECTS},
    }
    made = account.post(f"{META}/tables/{TASKS}/fields", asked).json
    account.patch(f"/Tasks/{CALL}", {"fields": {"Blocked by": [GEMINI]}})
    inverse = made["options"]["inverseLinkFieldId"]
    shown = account.get(f"/Projects/{GEMINI}?returnFieldsByFieldId=true").json["fields"]
    assert shown[inverse] == [CALL]
    assert account.cells(GEMINI, "Projects")["Tasks 2"] == [CALL]


def test_names_change_and_ids_stay(account):
    assert account.patch(f"{META}/tables/{TASKS}", {"name": "Jobs"}).json["id"] == TASKS
    field = f"{META}/tables/{TASKS}/fields/fldName0000000000"
    assert account.patch(field, {"name": "Title", "description": "d"}).json["name"] == "Title"
    assert account.cells(CALL, "Jobs")["Title"] == "Call back"


DATE = {"name": "A", "type": "date"}
FIELDS = f"/tables/{TASKS}/fields"


@pytest.mark.parametrize(
    ("method", "path", "asked", "error"),
    [
        ("POST", "/tables", {"name": "Tasks", "fields": [DATE]}, "DUPLICATE_TABLE_NAME"),
        ("POST", "/tables", {"name": "N", "fields": []}, "INVALID_REQUEST_UNKNOWN"),
        ("PATCH", f"/tables/{TASKS}", {"name": "Projects"}, "DUPLICATE_TABLE_NAME"),
        ("POST", FIELDS, {"name": "Name", "type": "date"}, "DUPLICATE_FIELD_NAME"),
        ("POST", FIELDS, {"name": "X"}, "INVALID_REQUEST_UNKNOWN"),
        (
            "POST",
            FIELDS,
            {"name": "X", "type": "multipleRecordLinks"},
            "INVALID_REQUEST_UNKNOWN",
        ),
        ("PATCH", f"{FIELDS}/fldName0000000000", {"name": "Notes"}, "DUPLICATE_FIELD_NAME"),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused_and_changes_nothing(
    account, method, path, asked, error
):
    before = account.get(f"{META}/tables").json
    answer = account.request(method, META + path, asked)
    assert (answer.status, answer.error) == (422, error)
    assert account.get(f"{META}/tables").json == before


def test_a_new_base_belongs_to_its_maker(account):
    tables = [{"name": "T", "fields": [{"name": "A", "type": "singleLineText"}]}]
    asked = {"name": "Second", "workspaceId": "wsp1", "tables": tables}
    made = account.post("//v0/meta/bases", asked).json
    names = {
        b["name"]: b["permissionLevel"] for b in account.get("//v0/meta/bases").json["bases"]
    }
    assert names == {"Demo": "create", "Second": "create"}
    assert account.post(f"//v0/{made['id']}/T", {"fields": {"A": "x"}}).status == 200
    reader = Account(READER_TOKEN)
    assert [b["id"] for b in reader.get("//v0/meta/bases").json["bases"]] == [BASE]


def test_a_token_is_told_its_scopes_and_its_address_only_if_it_may_know():
    assert Account(READER_TOKEN).get("//v0/meta/whoami").json == {
        "id": "usrReader00000000",
        "scopes": ["data.records:read", "schema.bases:read"],
    }


# Webhooks --------------------------------------------------------------------------


def hook(account, includes=None, **filters):
    options = {"filters": {"dataTypes": ["tableData"], **filters}, "includes": includes or {}}
    return account.post(HOOKS, {"specification": {"options": options}}).json["id"]


def payloads(account, webhook, query=""):
    return account.get(f"{HOOKS}/{webhook}/payloads{query}").json


def test_a_payload_tells_what_was_created_changed_and_destroyed(account):
    webhook = hook(account)
    made = account.create(Name="x", Status="Todo", Projects=[GEMINI])
    account.patch(f"/Tasks/{made['id']}", {"fields": {"Name": "y", "Status": None}})
    account.delete(f"/Tasks/{made['id']}")
    first, second, third = payloads(account, webhook)["payloads"]
    assert (first["payloadFormat"], first["actionMetadata"]["source"]) == ("v0", "publicApi")
    cells = first["changedTablesById"][TASKS]["createdRecordsById"][made["id"]][
        "cellValuesByFieldId"
    ]
    assert cells["fldStatus00000000"]["name"] == "Todo"
    assert cells["fldProjects000000"] == [{"id": GEMINI, "name": "Gemini"}]
    assert cells["fldBudgets0000000"] == {
        "linkedRecordIds": [GEMINI],
        "valuesByLinkedRecordId": {GEMINI: [300]},
    }
    inverse = first["changedTablesById"][PROJECTS]["changedRecordsById"][GEMINI]["current"]
    assert inverse["cellValuesByFieldId"] == {
        "fldTasks000000000": [{"id": made["id"], "name": "x"}]
    }
    changed = second["changedTablesById"][TASKS]["changedRecordsById"][made["id"]]
    assert changed == {
        "current": {
            "cellValuesByFieldId": {"fldName0000000000": "y", "fldStatus00000000": None}
        }
    }
    assert third["changedTablesById"][TASKS]["destroyedRecordIds"] == [made["id"]]
    numbers = [p["baseTransactionNumber"] for p in (first, second, third)]
    assert numbers == sorted(set(numbers))


def test_the_other_side_of_a_link_is_in_the_payload_however_many_link_there(account):
    webhook = hook(account)
    made = [account.create(Name=f"n{n}", Projects=[GEMINI])["id"] for n in range(30)]
    page = payloads(account, webhook)["payloads"]
    linked = [
        p["changedTablesById"][PROJECTS]["changedRecordsById"][GEMINI]["current"][
            "cellValuesByFieldId"
        ]["fldTasks000000000"]
        for p in page
    ]
    assert [len(links) for links in linked[:20]] == list(range(1, 21))
    assert linked[0] == [{"id": made[0], "name": "n0"}]
    assert [link["id"] for link in linked[-1]] == made
    account.delete(f"/Projects/{GEMINI}")
    kept = payloads(account, webhook, "?cursor=31")["payloads"][0]["changedTablesById"]
    assert kept[PROJECTS] == {"destroyedRecordIds": [GEMINI]}
    assert set(kept[TASKS]["changedRecordsById"]) == set(made)
    assert payloads(account, webhook, "?cursor=30&limit=1")["payloads"][0] != page[29]


def test_a_write_that_changes_nothing_tells_nothing(account):
    webhook = hook(account)
    account.patch(f"/Tasks/{CALL}", {"fields": {"Name": "Call back"}})
    assert payloads(account, webhook)["payloads"] == []


def test_the_cursor_is_the_number_of_the_next_payload(account):
    webhook = hook(account)
    assert payloads(account, webhook) == {"payloads": [], "cursor": 1, "mightHaveMore": False}
    for amount in range(3):
        account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": amount}})
    page = payloads(account, webhook, "?limit=2")
    assert (len(page["payloads"]), page["cursor"], page["mightHaveMore"]) == (2, 3, True)
    rest = payloads(account, webhook, "?cursor=3")
    assert (len(rest["payloads"]), rest["cursor"], rest["mightHaveMore"]) == (1, 4, False)
    assert payloads(account, webhook, "?cursor=4")["cursor"] == 4
    assert account.get(HOOKS).json["webhooks"][0]["cursorForNextPayload"] == 4
    assert account.get(f"{HOOKS}/{webhook}/payloads?limit=51").status == 422


@pytest.mark.parametrize(
    ("filters", "seen"),
    [
        ({}, 3),
        ({"recordChangeScope": PROJECTS}, 0),
        ({"recordChangeScope": TASKS}, 3),
        ({"changeTypes": ["update"]}, 1),
        ({"changeTypes": ["add", "remove"]}, 2),
        ({"fromSources": ["client"]}, 0),
        ({"fromSources": ["publicApi"]}, 3),
        ({"watchDataInFieldIds": ["fldNotes000000000"]}, 2),
        ({"dataTypes": ["tableFields"]}, 0),
    ],
)
def test_a_webhook_sees_what_its_filters_let_through(account, filters, seen):
    webhook = hook(account, **filters)
    made = account.create(Name="x")
    account.patch(f"/Tasks/{made['id']}", {"fields": {"Name": "y"}})
    account.delete(f"/Tasks/{made['id']}")
    assert len(payloads(account, webhook)["payloads"]) == seen


def test_previous_and_unchanged_cells_come_if_asked_for(account):
    webhook = hook(
        account,
        {
            "includePreviousCellValues": True,
            "includeCellValuesInFieldIds": ["fldPhone000000000"],
        },
    )
    account.patch(f"/Tasks/{CALL}", {"fields": {"Name": "y"}})
    (payload,) = payloads(account, webhook)["payloads"]
    changed = payload["changedTablesById"][TASKS]["changedRecordsById"][CALL]
    assert changed["previous"]["cellValuesByFieldId"] == {"fldName0000000000": "Call back"}
    assert changed["unchanged"]["cellValuesByFieldId"] == {"fldPhone000000000": "+49 30 123456"}


def test_schema_changes_are_payloads_too(account):
    webhook = hook(account, dataTypes=["tableFields", "tableMetadata"])
    field = account.post(f"{META}/tables/{TASKS}/fields", {"name": "X", "type": "date"}).json[
        "id"
    ]
    account.patch(f"{META}/tables/{TASKS}/fields/{field}", {"name": "Y"})
    account.patch(f"{META}/tables/{TASKS}", {"name": "Jobs"})
    made = account.post(
        f"{META}/tables", {"name": "T", "fields": [{"name": "A", "type": "date"}]}
    ).json
    added, renamed, table, new = payloads(account, webhook)["payloads"]
    assert added["changedTablesById"][TASKS]["createdFieldsById"] == {
        field: {"name": "X", "type": "date"}
    }
    assert (
        renamed["changedTablesById"][TASKS]["changedFieldsById"][field]["previous"]["name"]
        == "X"
    )
    assert table["changedTablesById"][TASKS]["changedMetadata"]["current"]["name"] == "Jobs"
    assert new["createdTablesById"][made["id"]]["metadata"]["name"] == "T"


def test_a_webhook_that_nobody_polls_or_refreshes_is_gone_after_a_week(account):
    idle, polled, refreshed = hook(account), hook(account), hook(account)
    account.now += 6 * DAY
    payloads(account, polled)
    account.post(f"{HOOKS}/{refreshed}/refresh")
    account.now += 2 * DAY
    assert {h["id"] for h in account.get(HOOKS).json["webhooks"]} == {polled, refreshed}
    assert account.get(f"{HOOKS}/{idle}/payloads").status == 404


def test_payloads_are_kept_for_a_week_and_cursors_never_reset(account):
    webhook = hook(account)
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    account.now += 6 * DAY
    payloads(account, webhook)
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 2}})
    account.now += 2 * DAY
    page = payloads(account, webhook)
    assert (len(page["payloads"]), page["cursor"]) == (1, 3)


def test_notifications_are_switched_and_webhooks_deleted(account):
    webhook = hook(account)
    assert (
        account.post(f"{HOOKS}/{webhook}/enableNotifications", {"enable": False}).response.body
        == b""
    )
    assert account.get(HOOKS).json["webhooks"][0]["areNotificationsEnabled"] is False
    assert account.delete(f"{HOOKS}/{webhook}").status == 200
    assert account.get(HOOKS).json == {"webhooks": []}


def test_a_token_may_be_kept_from_webhooks():
    account = Account(webhooks_allowed=False)
    specification = {"options": {"filters": {"dataTypes": ["tableData"]}}}
    for answer in (account.post(HOOKS, {"specification": specification}), account.get(HOOKS)):
        assert (answer.status, answer.error) == (403, "INVALID_PERMISSIONS")


def test_a_base_has_ten_webhooks_at_most(account):
    for _ in range(10):
        hook(account)
    specification = {"options": {"filters": {"dataTypes": ["tableData"]}}}
    assert account.post(HOOKS, {"specification": specification}).status == 422
    assert account.post(HOOKS, {"specification": {}}).status == 422


# Comments --------------------------------------------------------------------------


def test_comments_are_counted_listed_newest_first_and_answered(account):
    path = f"/Tasks/{PLAN}/comments"
    first = account.post(path, {"text": "one"}).json
    answer = account.post(path, {"text": "two", "parentCommentId": first["id"]}).json
    assert answer["parentCommentId"] == first["id"]
    page = account.get(f"{path}?pageSize=1").json
    assert [c["text"] for c in page["comments"]] == ["two"]
    rest = account.get(f"{path}?pageSize=1&offset={page['offset']}").json
    assert ([c["text"] for c in rest["comments"]], rest["offset"]) == (["one"], None)
    listed = account.get("/Tasks?recordMetadata[]=commentCount&maxRecords=1").json["records"]
    assert listed[0]["commentCount"] == 2


def test_a_comment_belongs_to_its_author(account):
    path = f"/Tasks/{PLAN}/comments"
    made = account.post(path, {"text": "mine"}).json
    account.sandbox.world.tokens["patOther"] = account.sandbox.world.tokens[READER_TOKEN]
    account.sandbox.world.tokens[READER_TOKEN].scopes = None
    account.sandbox.world.tokens[READER_TOKEN].bases[BASE] = "comment"
    account.token = "patOther"
    assert (
        account.patch(f"{path}/{made['id']}", {"text": "yours"}).error == "INVALID_PERMISSIONS"
    )
    assert account.delete(f"{path}/comNope").error == "NOT_FOUND"
    assert account.post(path, {"text": ""}).status == 422
    assert account.post(path, {"text": "x", "parentCommentId": "comNope"}).status == 422


# Uploads and CSV -------------------------------------------------------------------


def upload(account, field="Files", record=CALL, **changes):
    asked = {
        "contentType": "text/plain",
        "filename": "a.txt",
        "file": b64encode(b"abc").decode(),
    }
    path = f"/{record}/{field}/uploadAttachment"
    return account.request("POST", path, asked | changes, host=CONTENT)


def test_an_upload_adds_to_the_cell_and_shows_it_by_field_id(account):
    assert upload(account).status == 200
    answer = upload(account, "fldFiles000000000", filename="b.txt").json
    assert answer.keys() == {"id", "createdTime", "fields"}
    (files,) = answer["fields"].values()
    assert list(answer["fields"]) == ["fldFiles000000000"]
    assert [(f["filename"], f["size"]) for f in files] == [("a.txt", 3), ("b.txt", 3)]


def test_an_upload_that_makes_no_sense_is_refused(account):
    assert upload(account, record="recNope").status == 403
    assert upload(account, "Nope").error == "UNKNOWN_FIELD_NAME"
    assert upload(account, "Name").error == "INVALID_VALUE_FOR_COLUMN"
    assert upload(account, file="not base64!").status == 422
    assert upload(account, file=5).status == 422
    assert upload(account, file=b64encode(bytes(5 * 1024 * 1024 + 1)).decode()).status == 413


def test_csv_rows_are_merged_by_the_primary_field(account):
    rows = b"Name,Amount,Status\nCall back,7,New status\nFrom CSV,8,\n"
    assert account.post("/Tasks/sync/synA", rows).json == {"success": True}
    assert account.cells(CALL)["Amount"] == 7
    assert account.cells(CALL)["Status"] == "New status"
    assert len(account.get("/Tasks").json["records"]) == 4


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"Nope\n1\n", 422), (b"\xff", 422), (b'Name\n"x\n', 422),
     (b"Name\n" + b"x\n" * 10_001, 422), (b"Name\n" + b"x" * 2 * 1024 * 1024, 413)],
)  # fmt: skip
def test_csv_that_makes_no_sense_is_refused(account, body, status):
    assert account.post("/Tasks/sync/synA", body).status == status


def test_csv_may_be_sent_twenty_times_in_five_minutes(account):
    answers = [account.post("/Tasks/sync/synA", b"Name\nx\n").status for _ in range(21)]
    assert answers == [200] * 20 + [429]

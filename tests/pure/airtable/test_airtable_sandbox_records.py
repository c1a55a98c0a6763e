"""The simulator's records: written, cast, refused, linked, removed."""

from __future__ import annotations

import pytest
from airtable_calls import Account

PLAN, WRITE, CALL = "recPlan0000000000", "recWrite000000000", "recCall0000000000"
APOLLO, GEMINI = "recApollo00000000", "recGemini00000000"


@pytest.fixture
def account() -> Account:
    return Account()


def written(account, **fields):
    """The shown cells of a new task, without those that every task has."""
    bare = account.create()["fields"]
    return {k: v for k, v in account.create(**fields)["fields"].items() if k not in bare}


def test_empty_cells_are_left_out(account):
    assert written(account, Name="", Tags=[], Done=False, Notes=None, Amount=0) == {"Amount": 0}


def test_every_writable_type_comes_back_as_it_is_documented(account):
    fields = {
        "Name": "x", "Notes": "a\nb", "Email": "a@b.co", "Website": "https://b.co",
        "Phone": "1", "Amount": 1.25, "Price": 3, "Progress": 0.5, "Effort": 3600, "Rating": 4,
        "Done": True, "Due": "2026-09-05", "Starts": "2026-09-05T07:00:00.000Z",
        "Status": "Todo", "Tags": ["red", "blue"], "Barcode": {"text": "1", "type": "ean8"},
    }  # fmt: skip
    assert written(account, **fields).items() >= fields.items()


def test_people_are_known_by_id_or_address_and_shown_whole(account):
    shown = written(
        account, Owner={"email": "reader@example.com"}, Watchers=[{"id": "usrDemo0000000000"}]
    )
    assert shown["Owner"]["id"] == "usrReader00000000"
    assert shown["Watchers"][0]["name"] == "Demo User"


def test_dates_are_normalised(account):
    shown = written(account, Due="2026-09-05T23:30:00Z", Starts="2026-09-05T09:00:00+02:00")
    assert shown == {"Due": "2026-09-05", "Starts": "2026-09-05T07:00:00.000Z"}


def test_computed_cells_follow_what_they_are_computed_from(account):
    shown = account.create(Amount=2, Price=2.5, Projects=[APOLLO, GEMINI])["fields"]
    assert (shown["Cost"], shown["Budgets"], shown["Total budget"]) == (5, [1200, 300], 1500)
    assert (shown["Project count"], shown["Number"]) == (2, 4)
    assert account.cells(PLAN)["Modified"] == "2026-11-01T09:00:00.000Z"
    account.patch(f"/Tasks/{PLAN}", {"fields": {"Amount": 3}})
    assert account.cells(PLAN)["Modified"] > "2026-11-21"
    assert account.cells(PLAN)["Cost"] == 120


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"Nope": 1}, "UNKNOWN_FIELD_NAME"),
        ({"Name": 5}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Amount": True}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Rating": 6}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Done": "yes"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Due": "tomorrow"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Starts": 5}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Status": "Nope"}, "INVALID_MULTIPLE_CHOICE_OPTIONS"),
        ({"Tags": "red"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Tags": ["nope"]}, "INVALID_MULTIPLE_CHOICE_OPTIONS"),
        ({"Projects": ["recNope"]}, "ROW_DOES_NOT_EXIST"),
        ({"Projects": "recNope"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Owner": {"id": "usrNope"}}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Files": [{"url": "ftp://x"}]}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Files": [{"id": "attNope"}]}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Barcode": "1"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Cost": 1}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Number": 1}, "INVALID_VALUE_FOR_COLUMN"),
    ],
)
def test_a_bad_value_is_refused_with_airtables_words(account, fields, error):
    answer = account.post("/Tasks", {"fields": fields})
    assert (answer.status, answer.error) == (422, error)
    assert len(account.get("/Tasks").json["records"]) == 3


def test_a_cast_makes_of_texts_what_the_field_needs(account):
    fields = {
        "Name": 5, "Amount": "$1,200.50", "Done": "true", "Status": "Brand new",
        "Tags": "red, purple", "Projects": ["Apollo", "Mercury"], "Owner": "demo@example.com",
    }  # fmt: skip
    shown = account.post("/Tasks", {"fields": fields, "typecast": True}).json["fields"]
    assert (shown["Name"], shown["Amount"], shown["Done"]) == ("5", 1200.5, True)
    assert (shown["Status"], shown["Tags"]) == ("Brand new", ["red", "purple"])
    assert shown["Owner"]["id"] == "usrDemo0000000000"
    mercury = account.cells(shown["Projects"][1], "Projects")
    assert (shown["Projects"][0], mercury["Name"]) == (APOLLO, "Mercury")
    account.create(Status="Brand new")


def test_a_cast_that_is_refused_further_on_creates_nothing(account):
    fields = {"Status": "Brand new", "Projects": ["Mercury"], "Nope": 1}
    assert account.post("/Tasks", {"fields": fields, "typecast": True}).status == 422
    assert len(account.get("/Projects").json["records"]) == 2
    assert account.post("/Tasks", {"fields": {"Status": "Brand new"}}).status == 422


# Update, replace, batch ------------------------------------------------------------


def test_put_empties_what_it_does_not_name_and_patch_does_not(account):
    assert account.patch(f"/Tasks/{PLAN}", {"fields": {"Notes": "n"}}).json["fields"]["Amount"]
    shown = account.put(f"/Tasks/{PLAN}", {"fields": {"Name": "x"}}).json["fields"]
    assert {"Notes", "Amount", "Projects"}.isdisjoint(shown)
    assert PLAN not in account.cells(APOLLO, "Projects")["Tasks"]


@pytest.mark.parametrize("flag", [True, False])
def test_fields_are_keyed_as_asked(account, flag):
    asked = {"records": [{"fields": {"fldName0000000000": "x"}}], "returnFieldsByFieldId": flag}
    (made,) = account.post("/tblTasks000000000", asked).json["records"]
    assert made["fields"]["fldName0000000000" if flag else "Name"] == "x"


def test_a_single_record_may_be_patched_at_the_tables_path(account):
    answer = account.patch("/Tasks", {"id": CALL, "fields": {"Name": "x"}})
    assert (answer.json["id"], answer.json["fields"]["Name"]) == (CALL, "x")


@pytest.mark.parametrize("size", [0, 11])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_batch_is_one_to_ten_records(account, method, size):
    records = [{"id": CALL, "fields": {}}] * size
    answer = account.request(method, "/Tasks", {"records": records})
    assert (answer.status, answer.error) == (422, "INVALID_REQUEST_UNKNOWN")


@pytest.mark.parametrize(("atomic", "written"), [(True, False), (False, True)])
def test_a_bad_record_refuses_the_whole_batch(atomic, written):
    account = Account(atomic_batches=atomic)
    records = [{"id": CALL, "fields": {"Name": "x"}}, {"id": "recNope", "fields": {}}]
    answer = account.patch("/Tasks", {"records": records})
    assert (answer.status, answer.error) == (422, "ROW_DOES_NOT_EXIST")
    assert (account.cells(CALL)["Name"] == "x") is written


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"{", 400, "INVALID_REQUEST_BODY"),
        (b"[]", 422, "INVALID_REQUEST_UNKNOWN"),
        (b"", 422, "INVALID_REQUEST_UNKNOWN"),
        ({}, 422, "INVALID_REQUEST_MISSING_FIELDS"),
        ({"fields": []}, 422, "INVALID_REQUEST_MISSING_FIELDS"),
        ({"records": [5]}, 422, "INVALID_REQUEST_UNKNOWN"),
        ({"fields": {}, "typecast": "yes"}, 422, "INVALID_REQUEST_UNKNOWN"),
    ],
)
def test_a_body_of_another_shape_is_refused(account, body, status, error):
    answer = account.post("/Tasks", body)
    assert (answer.status, answer.error) == (status, error)


# Upsert ----------------------------------------------------------------------------


def upsert(account, *records, on=("Name",)):
    asked = {"records": list(records), "performUpsert": {"fieldsToMergeOn": list(on)}}
    return account.patch("/Tasks", asked)


def test_an_upsert_creates_without_a_match_and_updates_one(account):
    answer = upsert(
        account,
        {"fields": {"Name": "Call back", "Amount": 1}},
        {"fields": {"Name": "Unheard of"}},
        {"id": PLAN, "fields": {"Name": "By id"}},
    ).json
    assert answer["updatedRecords"] == [CALL, PLAN]
    assert [r["id"] for r in answer["records"]] == [CALL, *answer["createdRecords"], PLAN]


def test_an_upsert_with_two_matches_fails_whole(account):
    account.create(Name="Twin")
    account.create(Name="Twin")
    answer = upsert(account, {"fields": {"Name": "New"}}, {"fields": {"Name": "Twin"}})
    assert answer.status == 422
    assert len(account.get("/Tasks").json["records"]) == 5


def test_an_upsert_on_an_empty_value_creates(account):
    assert len(upsert(account, {"fields": {"Name": None}}).json["createdRecords"]) == 1


@pytest.mark.parametrize(
    ("record", "on"),
    [
        ({"fields": {"Amount": 1}}, ["Name"]),
        ({"fields": {"Name": "x"}}, []),
        ({"fields": {"Name": "x"}}, ["Name", "Notes", "Email", "Phone"]),
        ({"fields": {"Name": "x"}}, ["Nope"]),
        ({"fields": {"Name": "x"}}, ["Cost"]),
        ({"id": "recNope", "fields": {"Name": "x"}}, ["Name"]),
    ],
)
def test_an_upsert_that_makes_no_sense_is_refused(account, record, on):
    assert upsert(account, record, on=on).status == 422


# Links and deletes -----------------------------------------------------------------


def test_a_link_shows_on_both_sides(account):
    made = account.create(Projects=[GEMINI])["id"]
    assert account.cells(GEMINI, "Projects")["Tasks"] == [made]
    account.patch(f"/Projects/{GEMINI}", {"fields": {"Tasks": [PLAN]}})
    assert "Projects" not in account.cells(made)
    assert account.cells(PLAN)["Projects"] == [APOLLO, GEMINI]


def test_a_deleted_record_leaves_no_link(account):
    account.delete(f"/Projects/{APOLLO}")
    assert "Projects" not in account.cells(PLAN)
    assert account.cells(PLAN)["Project count"] == 0


def test_a_deleted_record_touches_only_what_was_linked_with_it(account):
    before = account.cells(PLAN)["Modified"]
    account.delete(f"/Projects/{GEMINI}")
    assert account.cells(PLAN)["Modified"] == before


@pytest.mark.parametrize(("switch", "changed"), [(True, True), (False, False)])
def test_a_link_from_the_other_side_may_count_as_a_change(switch, changed):
    account = Account(inverse_modifies=switch)
    before = account.cells(CALL)["Modified"]
    account.patch(f"/Projects/{GEMINI}", {"fields": {"Tasks": [CALL]}})
    assert (account.cells(CALL)["Modified"] != before) is changed


@pytest.mark.parametrize("spelled", ["records[]", "records%5B%5D", "records", "records[0]"])
def test_several_are_deleted_however_the_list_is_spelled(account, spelled):
    answer = account.delete(f"/Tasks?{spelled}={PLAN}&{spelled}={CALL}")
    assert answer.json == {"records": [{"id": i, "deleted": True} for i in (PLAN, CALL)]}
    assert [r["id"] for r in account.get("/Tasks").json["records"]] == [WRITE]


def test_a_batch_of_deletes_is_all_or_nothing(account):
    assert account.delete(f"/Tasks?records={PLAN}&records=recNope").status == 403
    assert account.get(f"/Tasks/{PLAN}").status == 200


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("switches", "status", "error"),
    [
        ({}, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
        ({"missing_status": 404}, 404, "NOT_FOUND"),
        ({"missing_status": 404, "missing_as_string": False}, 404, "NOT_FOUND"),
    ],
)
def test_a_missing_record_is_refused_as_set(method, switches, status, error):
    answer = Account(**switches).request(method, "/Tasks/recNope", {"fields": {}})
    assert (answer.status, answer.error) == (status, error)
    as_string = switches.get("missing_as_string", True) and status == 404
    assert isinstance(answer.json["error"], str) == as_string


def test_a_record_is_found_under_any_table_unless_switched_off():
    assert Account().get(f"/Projects/{PLAN}").json["id"] == PLAN
    assert Account(base_wide_get=False).get(f"/Projects/{PLAN}").status == 403


# Attachments -----------------------------------------------------------------------


def test_attachments_are_kept_by_id_and_added_by_url(account):
    made = account.create(Files=[{"url": "https://b.co/a.png?x=1"}])
    (first,) = made["fields"]["Files"]
    assert (first["filename"], first["type"]) == ("a.png", "image/png")
    files = [{"id": first["id"]}, {"url": "https://b.co/", "filename": "b.txt"}]
    shown = account.patch(f"/Tasks/{made['id']}", {"fields": {"Files": files}}).json["fields"]
    assert shown["Files"][0] == first
    assert shown["Files"][1]["filename"] == "b.txt"


def test_a_new_attachment_may_lack_its_size_for_a_moment():
    account = Account(attachment_delay=15.0)
    made = account.create(Files=[{"url": "https://b.co/a.png"}])
    assert made["fields"]["Files"][0].keys() == {"id", "url", "filename"}
    account.now += 15
    assert account.cells(made["id"])["Files"][0]["size"] > 0


def test_attachments_may_fail_while_the_record_is_saved():
    account = Account(partial_success="attachmentsFailedUploading")
    made = account.create(Name="x", Files=[{"url": "https://b.co/a.png"}])
    assert made["details"] == {
        "message": "partialSuccess",
        "reasons": ["attachmentsFailedUploading"],
    }
    assert made["fields"]["Name"] == "x"
    assert "Files" not in made["fields"]
    assert "details" not in account.create(Name="x")


def test_a_saved_simulator_goes_on_where_it_was(account):
    account.create(Name="x", Projects=[GEMINI])
    account.post(f"/Tasks/{PLAN}/comments", {"text": "hi"})
    other = Account()
    other.sandbox.load(account.sandbox.dump())
    other.now = account.now
    assert other.sandbox.dump() == account.sandbox.dump()
    assert other.create(Name="y") == account.create(Name="y")

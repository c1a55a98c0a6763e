"""The simulator's listings: pages, order, filters, formulas."""

from __future__ import annotations

from dataclasses import replace
from time import thread_time
from urllib.parse import quote

import pytest
from airtable_calls import Account
from hypothesis import given
from hypothesis import strategies as st

from providers.airtable.sandbox.formula import FormulaError, compiled
from providers.airtable.sandbox.seed import BASE, PROJECTS

PIECES = [
    "{Name}", "{Amount}", "{Tags}", "{Starts}", "(", ")", ",", "+", "-", "*", "/", "&", "=",
    "<", ">=", "'a'", "1", "9999999999", "1.5", "FIND(", "IF(", "AND(", "ROUND(", "LEFT(",
    "MAX(", "DATETIME_PARSE(", "IS_AFTER(", "LAST_MODIFIED_TIME(", "VALUE(", "CREATED_TIME()",
    "TODAY()",
]  # fmt: skip
PLAN, WRITE, CALL = "recPlan0000000000", "recWrite000000000", "recCall0000000000"


@pytest.fixture
def account() -> Account:
    return Account()


def ids(answer):
    return [record["id"] for record in answer.json["records"]]


def filtered(account, formula):
    return account.get(f"/Tasks?filterByFormula={quote(formula)}")


def test_pages_follow_one_another_until_there_is_no_offset(account):
    first = account.get("/Tasks?pageSize=2&offset=")
    assert ids(first) == [PLAN, WRITE]
    assert first.json["offset"].endswith(f"/{CALL}")
    second = account.get(f"/Tasks?pageSize=2&offset={first.json['offset']}")
    assert ids(second) == [CALL]
    assert "offset" not in second.json


def test_a_page_may_be_asked_for_twice(account):
    offset = account.get("/Tasks?pageSize=1").json["offset"]
    pages = [ids(account.get(f"/Tasks?pageSize=1&offset={offset}")) for _ in range(2)]
    assert pages == [[WRITE], [WRITE]]


def test_an_offset_expires_when_nobody_asks():
    account = Account(iterator_lifetime=60.0)
    offset = account.get("/Tasks?pageSize=1").json["offset"]
    account.now += 61
    answer = account.get(f"/Tasks?offset={offset}")
    assert (answer.status, answer.json) == (
        422,
        {"error": {"type": "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}},
    )


def test_an_offset_lives_on_while_it_is_used():
    account = Account(iterator_lifetime=60.0)
    offset = account.get("/Tasks?pageSize=1").json["offset"]
    for _ in range(3):
        account.now += 40
        assert account.get(f"/Tasks?pageSize=1&offset={offset}").status == 200


def test_a_restart_forgets_every_offset(account):
    offset = account.get("/Tasks?pageSize=1").json["offset"]
    account.sandbox.load(account.sandbox.dump())
    assert account.get(f"/Tasks?offset={offset}").error == "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"


@pytest.mark.parametrize("offset", ["nonsense", "itr1/recX", "itr00000000000001/recX", "/"])
def test_an_offset_that_was_never_given_is_refused(account, offset):
    account.get("/Tasks?pageSize=1")
    assert account.get(f"/Tasks?offset={offset}").error == "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"


def test_a_listing_is_fixed_when_it_begins(account):
    offset = account.get("/Tasks?pageSize=1").json["offset"]
    account.create(Name="Late")
    account.delete(f"/Tasks/{WRITE}")
    assert ids(account.get(f"/Tasks?offset={offset}")) == [CALL]


def test_reading_changes_nothing(account):
    before = account.sandbox.dump()
    account.get("/Tasks?pageSize=1")
    account.post("/Tasks/listRecords", {})
    assert account.sandbox.dump() == before


def test_a_post_takes_the_same_options_in_its_body(account):
    asked = {
        "pageSize": 1,
        "fields": ["Name", "fldAmount00000000"],
        "sort": [{"field": "Name", "direction": "desc"}],
        "filterByFormula": "NOT({Name}='Call back')",
        "returnFieldsByFieldId": True,
        "recordMetadata": ["commentCount"],
    }
    first = account.post("/Tasks/listRecords", asked).json
    assert first["records"][0]["fields"] == {"fldName0000000000": "Write the report"}
    assert first["records"][0]["commentCount"] == 0
    asked["offset"] = first["offset"]
    assert ids(account.post("/Tasks/listRecords", asked)) == [PLAN]


def test_the_same_options_in_a_query(account):
    query = (
        "sort%5B0%5D%5Bfield%5D=Done&sort[1][field]=Name&sort[1][direction]=desc"
        "&fields[]=Name&fields%5B%5D=Done&maxRecords=2&recordMetadata[]=commentCount"
    )
    found = account.get(f"/Tasks?{query}").json["records"]
    assert [r["fields"] for r in found] == [{"Name": "Write the report"}, {"Name": "Call back"}]
    assert found[0]["commentCount"] == 0


def test_cells_as_texts_need_a_zone_and_a_locale(account):
    assert account.get("/Tasks?cellFormat=string").status == 422
    shown = account.get("/Tasks?cellFormat=string&timeZone=UTC&userLocale=en").json["records"][
        0
    ]
    assert shown["fields"].items() >= {
        "Done": "checked", "Tags": "red, blue", "Owner": "Demo User", "Progress": "50%",
    }.items()  # fmt: skip


def test_a_view_must_exist(account):
    assert len(ids(account.get("/Tasks?view=Grid%20view"))) == 3
    assert len(ids(account.get("/Tasks?view=viwTasks000000000"))) == 3
    assert account.get("/Tasks?view=Nope").error == "VIEW_NAME_NOT_FOUND"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("fields[]=Nope", "UNKNOWN_FIELD_NAME"),
        ("sort[0][field]=Nope", "UNKNOWN_FIELD_NAME"),
        ("sort[0][field]=Name&sort[0][direction]=up", "INVALID_REQUEST_UNKNOWN"),
        ("pageSize=101", "INVALID_REQUEST_UNKNOWN"),
        ("pageSize=0", "INVALID_REQUEST_UNKNOWN"),
        ("maxRecords=x", "INVALID_REQUEST_UNKNOWN"),
        ("cellFormat=xml", "INVALID_REQUEST_UNKNOWN"),
        ("filterByFormula=%7BNope%7D%3D1", "INVALID_FILTER_BY_FORMULA"),
        ("filterByFormula=1%2B", "INVALID_FILTER_BY_FORMULA"),
    ],
)
def test_options_that_make_no_sense_are_refused(account, query, error):
    answer = account.get(f"/Tasks?{query}")
    assert (answer.status, answer.error) == (422, error)


@pytest.mark.parametrize(("longer", "status"), [(0, 414), (-1, 200)])
def test_a_url_of_sixteen_thousand_characters_is_too_long(account, longer, status):
    start = "https://api.airtable.com/v0/appDemo0000000000/Tasks?x="
    assert account.get(f"/Tasks?x={'a' * (16_000 - len(start) + longer)}").status == status


# Formulas --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "found"),
    [
        ("{Name}='Call back'", [CALL]),
        ('"Call back" = Name', [CALL]),
        ("{fldName0000000000}!='Call back'", [PLAN, WRITE]),
        ("RECORD_ID()='recCall0000000000'", [CALL]),
        ("OR(RECORD_ID()='recCall0000000000',RECORD_ID()='recPlan0000000000')", [PLAN, CALL]),
        ("AND({Done}, {Amount} > 2, {Amount} <= 2.5)", [PLAN]),
        ("{Done}=TRUE()", [PLAN]),
        ("{Done}=FALSE()", [WRITE, CALL]),
        ("NOT({Done})", [WRITE, CALL]),
        ("{Amount}=BLANK()", [WRITE, CALL]),
        ("FIND('the', {Name})", [PLAN, WRITE]),
        ("FIND('red', {Tags})", [PLAN]),
        ("SEARCH('THE', {Name})", [PLAN, WRITE]),
        ("FIND('apollo', LOWER({Projects} & ''))", [PLAN, WRITE]),
        ("LEN({Name}) > 10", [PLAN, WRITE]),
        ("IF({Done}, {Amount}=2.5, 0)", [PLAN]),
        ("{Amount} * 2 + 1 = 6", [PLAN]),
        ("-{Amount} < 0", [PLAN]),
        ("{Amount} / 0 = 1", []),
        ("IS_AFTER({Starts}, DATETIME_PARSE('2026-11-21 06:00', 'YYYY-MM-DD HH:mm'))", [PLAN]),
        ("IS_BEFORE({Due}, '2026-12-01')", [PLAN]),
        ("IS_AFTER(CREATED_TIME(), DATETIME_PARSE('2026-11-02'))", []),
        ("IS_SAME(CREATED_TIME(), '2026-11-01T09:00:00Z')", [PLAN, WRITE, CALL]),
        ("{Total budget} = SUM(1000, 200)", [PLAN, WRITE]),
        ("ARRAYJOIN({Tags}, '-') = 'red-blue'", [PLAN]),
        ("CONCATENATE({Status}, '!') = 'Todo!'", [WRITE]),
        ("{Name} = 'it\\'s'", []),
        ("XOR({Done}, TRUE())", [WRITE, CALL]),
        ("ROUND({Amount}) = 3", [PLAN]),
        ("1", [PLAN, WRITE, CALL]),
        ("0", []),
    ],
)  # fmt: skip
def test_a_formula_finds_what_it_says(account, formula, found):
    answer = filtered(account, formula)
    assert answer.status == 200, answer.json
    assert ids(answer) == found


def test_changes_since_are_found_by_the_last_modified_time(account):
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    since = "DATETIME_PARSE('2026-11-20 00:00:00','YYYY-MM-DD HH:mm:ss')"
    assert ids(filtered(account, f"IS_AFTER(LAST_MODIFIED_TIME(), {since})")) == [CALL]
    assert ids(filtered(account, f"IS_AFTER(LAST_MODIFIED_TIME(Amount), {since})")) == [CALL]
    assert ids(filtered(account, f"IS_AFTER(LAST_MODIFIED_TIME({{Name}}), {since})")) == []


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        ("'2026-11-20 00:00:00','YYYY-MM-DD HH:mm:ss'", [CALL]),
        ('"2026-11-20"', [CALL]),
        ("'2026-10-20 00:00:00', 'YYYY-MM-DD HH:mm:ss'", [PLAN, WRITE, CALL]),
        ("'2090-01-01 00:00:00','YYYY-MM-DD HH:mm:ss'", []),
        ("'nonsense','YYYY'", []),
    ],
)
def test_the_quick_way_to_what_was_modified_finds_what_the_slow_one_finds(
    account, moment, found
):
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    quick = f"IS_AFTER(LAST_MODIFIED_TIME(), DATETIME_PARSE({moment}))"
    assert ids(filtered(account, quick)) == ids(filtered(account, f"AND({quick})")) == found


def test_the_quick_way_to_records_by_id_finds_what_the_slow_one_finds(account):
    for clauses in (f"RECORD_ID() = '{CALL}'", f"RECORD_ID()='{CALL}', record_id()=\"{PLAN}\""):
        quick, slow = f"OR({clauses},RECORD_ID()='recNone')", f"AND(OR({clauses}))"
        assert ids(filtered(account, quick)) == ids(filtered(account, slow))
        assert CALL in ids(filtered(account, quick))
    made = [account.create(Name="x")["id"] for _ in range(8)]
    named = ",".join(f"RECORD_ID()='{i}'" for i in reversed(made))
    assert ids(filtered(account, f"OR({named})")) == made


def test_a_table_of_twenty_thousand_is_asked_by_id_and_by_time_in_no_time(account):
    template = account.sandbox.world.bases[BASE].tables[PROJECTS].records["recGemini00000000"]
    records = account.sandbox.world.bases[BASE].tables[PROJECTS].records
    for number in range(20_000):
        made = replace(template, id=f"rec{number:014}", number=number + 10, cells={})
        records[made.id] = made
    named = ",".join(f"RECORD_ID()='rec{number:014}'" for number in range(0, 20_000, 200))
    started = thread_time()
    found = account.post("/Projects/listRecords", {"filterByFormula": f"OR({named})"})
    since = "DATETIME_PARSE('2090-01-01 00:00:00','YYYY-MM-DD HH:mm:ss')"
    none = filtered(account, f"IS_AFTER(LAST_MODIFIED_TIME(),{since})")
    assert thread_time() - started < 0.7  # row by row it is a second and a half
    assert len(ids(found)) == 100
    assert ids(none) == []


def test_a_time_compared_with_a_text_returns_everything_as_it_does_at_airtable(account):
    assert len(ids(filtered(account, "LAST_MODIFIED_TIME() > '2090-01-01'"))) == 3


@pytest.mark.parametrize(
    "formula",
    ["1 +", "NOPE(1)", "{Name", "'x", "AND()", "IF(1)", "(1", "1 2", "FIND(1)", ")", "?",
     "LAST_MODIFIED_TIME('x')", "(" * 500 + "1" + ")" * 500, "-" * 500 + "1"],
)  # fmt: skip
def test_a_text_that_is_no_formula_is_refused(account, formula):
    assert filtered(account, formula).error == "INVALID_FILTER_BY_FORMULA"


@given(st.lists(st.sampled_from(PIECES)))
def test_any_text_is_a_formula_that_runs_or_is_refused(parts):
    formula = " ".join(parts)
    try:
        compiled(formula)
    except FormulaError:
        expected = 422 if formula else 200
    else:
        expected = 200
    assert filtered(Account(), formula).status == expected

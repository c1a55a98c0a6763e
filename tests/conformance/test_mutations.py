"""Mutations of every kind against the sandboxes: what they send, and what they tell."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from driving import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutating import PAIR, PAIRS, Desk

from providers.catalog import PROVIDERS
from providers.http import Response, headers
from providers.mutating import Blame, MutationKind, Status, chunks
from providers.record import Schema
from providers.spec import Provider
from providers.wanted import MOST_FAULTS, Asked, Faulty, wanted

DESKS = {name: Desk(Account(provider)) for name, provider in PROVIDERS.items()}
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=6,
)
SIZES = (0, 1, 9, 10, 11, 99, 100, 101, 250)


@pytest.fixture
def desk(provider: Provider) -> Desk:
    return Desk(Account(provider))


@pytest.fixture
def hubspot() -> Desk:
    return Desk(Account(PROVIDERS["hubspot"]))


@pytest.fixture
def airtable() -> Desk:
    return Desk(Account(PROVIDERS["airtable"]))


def faults(desk: Desk, *asked: Any, of: str = "") -> dict[str, str]:
    with pytest.raises(Faulty) as refused:
        wanted(desk.asked(*asked, of=of), desk.api)
    return {fault.member: fault.said for fault in refused.value.faults}


def answer(status: int, body: Any = None) -> Response:
    told = b"<html>" if body is None else json.dumps(body).encode()
    return Response(status, headers(("Content-Type", "application/json")), told)


# --- every kind, every type, every size ---------------------------------------------------


def test_a_record_with_a_value_of_every_type_is_created_as_streams_tell_it(desk: Desk):
    done = desk.mutate("create", [dict(desk.ground.values)])
    (told,) = done.outcomes
    assert told.status is Status.APPLIED
    assert told.record_id is not None
    (truth,) = desk.truth(told.record_id)
    assert truth is not None
    named = {*desk.ground.values}
    assert named <= truth.keys()
    # What streams tell can be written again, and changes nothing.
    again = {name: truth[name] for name in named}
    (written,) = desk.mutate("update", [{"id": told.record_id, **again}]).outcomes
    assert written.status is Status.APPLIED
    (after,) = desk.truth(told.record_id)
    assert {n: (after or {})[n] for n in named if n != "Files"} == {
        n: v for n, v in again.items() if n != "Files"
    }
    shown = desk.provider.plain(desk.collection, written.data)
    assert shown["id"] == told.record_id
    assert {n: shown[n] for n in named} == {n: (after or {})[n] for n in named}


def test_null_empties_a_cell_of_every_type(desk: Desk):
    (made,) = desk.mutate("create", [dict(desk.ground.values)]).outcomes
    assert made.record_id is not None
    emptied = {name: None for name in desk.ground.values if name != "lifecyclestage"}
    (told,) = desk.mutate("update", [{"id": made.record_id, **emptied}]).outcomes
    assert told.status is Status.APPLIED, told
    (truth,) = desk.truth(made.record_id)
    assert all((truth or {}).get(name) is None for name in emptied)


def test_fields_may_be_named_by_id_by_name_and_by_column(desk: Desk):
    ground, collection = desk.ground, desk.collection
    known = collection.by_name[ground.name]
    asked = replace(desk.asked("create", []), columns={"a_column": known.id, "gone": "fldX"})
    for spelling in (known.id, known.name, "a_column"):
        _, read = wanted(replace(asked, records=[{spelling: "x"}]), desk.api)
        assert read[0].values == {known.id: "x"}
    twice = replace(asked, records=[{known.name: "x", "a_column": "y"}])
    with pytest.raises(Faulty, match="named twice"):
        wanted(twice, desk.api)


@pytest.mark.parametrize("size", SIZES)
def test_any_number_of_records_is_created_changed_and_deleted_in_order(desk: Desk, size: int):
    ground = desk.ground
    made = desk.mutate("create", [{ground.name: f"n {at}"} for at in range(size)])
    assert len(made.batches) == -(-size // ground.size)
    assert [each.place for batch in made.batches for each in batch.records] == [*range(size)]
    ids = [str(told.record_id) for told in made.outcomes]
    assert len(set(ids)) == size
    changed = desk.mutate(
        "update", [{"id": i, ground.name: f"m {at}"} for at, i in enumerate(ids)]
    )
    assert [told.record_id for told in changed.outcomes] == ids
    assert [(t or {})[ground.name] for t in desk.truth(*ids)] == [f"m {n}" for n in range(size)]
    gone = desk.mutate("delete", [{"id": i} for i in ids])
    assert [told.record_id for told in gone.outcomes] == ids
    assert desk.truth(*ids) == [None] * size
    everything = made.outcomes + changed.outcomes + gone.outcomes
    assert {told.status for told in everything} <= {Status.APPLIED}


def test_an_upsert_updates_what_its_match_finds_and_creates_the_rest(desk: Desk):
    ground = desk.ground
    values = [ground.unique_value.format(at) for at in range(12)]
    known = desk.mutate("create", [{ground.unique: value} for value in values[:5]])
    told = desk.mutate(
        "upsert", [{ground.unique: value} for value in values], ground.unique
    ).outcomes
    assert [each.created for each in told] == [False] * 5 + [True] * 7
    assert [each.record_id for each in told[:5]] == [e.record_id for e in known.outcomes]
    truths = desk.truth(*(str(each.record_id) for each in told))
    assert [(truth or {})[ground.unique] for truth in truths] == values


def test_of_two_upserts_of_one_value_the_second_finds_what_the_first_made(desk: Desk):
    unique, value = desk.ground.unique, desk.ground.unique_value.format("x")
    done = desk.mutate("upsert", [{unique: value}, {unique: "other"}, {unique: value}], unique)
    assert len(done.batches) == 2
    one, _, again = done.outcomes
    assert (one.created, again.created) == (True, False)
    assert one.record_id == again.record_id


def test_hubspot_is_told_moments_in_utc(hubspot: Desk):
    batch = batch_of(hubspot, "create", [{"next_call": "2026-12-24T09:30:00.5+02:00"}])
    assert b'"2026-12-24T07:30:00.500000Z"' in batch.request.body
    told = faults(hubspot, "create", [{"next_call": "0001-01-01T00:00:00+14:00"}])
    assert "years 1 to 9999" in told["data[0].next_call"]


def test_a_record_to_be_deleted_may_be_named_by_its_id_alone(desk: Desk):
    told = desk.mutate("delete", [desk.ground.ids[0], {"id": desk.ground.ids[1]}]).outcomes
    assert [each.status for each in told] == [Status.APPLIED] * 2
    assert desk.truth(*desk.ground.ids[:2]) == [None, None]


def test_two_changes_of_one_record_go_one_after_the_other(desk: Desk):
    record, name = desk.ground.ids[0], desk.ground.name
    done = desk.mutate("update", [{"id": record, name: "one"}, {"id": record, name: "two"}])
    assert len(done.batches) == 2
    assert [(truth or {})[name] for truth in desk.truth(record)] == ["two"]
    assert [*chunks((), 10)] == []


# --- what is wrong before anything is sent --------------------------------------------------


def test_every_member_that_is_wrong_is_named_with_the_remedy(desk: Desk):
    ground = desk.ground
    told = faults(
        desk,
        "update",
        [
            {"id": ground.ids[0], ground.name[:-1]: "x", ground.computed: 1},
            {"id": ground.ids[0], ground.name: {"no": "text"}},
            {ground.name: "whose?"},
            "no object",
            {"id": True},
        ],
    )
    near = told.pop(f"data[0].{ground.name[:-1]}")
    assert f'"{ground.name}"' in near
    assert "refresh" in near
    assert "read-only" in told.pop(f"data[0].{ground.computed}")
    assert "takes a text" in told.pop(f"data[1].{ground.name}")
    assert "names the record" in told.pop("data[2].id")
    assert "must be an object" in told.pop("data[3]")
    assert "names the record" in told.pop("data[4].id")
    assert told == {}


@pytest.mark.parametrize(
    ("asked", "member", "said"),
    [
        (("create", [{"id": "x"}]), "data[0].id", "is chosen by the API"),
        (("upsert", [{"id": "x"}], "{unique}"), "data[0].id", "kind update"),
        (("upsert", [{"{name}": "x"}]), "match", "must name"),
        (("upsert", [{}], "{unique}"), "data[0].{unique}", "found by"),
        (("upsert", [], "nope"), "match[0]", "has no field"),
        (("upsert", [], *"abcd"), "match", "must name"),
        (("create", [], "{unique}"), "match", "leave it out"),
        (("delete", [{"id": "x", "{name}": "y"}]), "data[0]", "`id` alone"),
        (("update", [{"id": " x"}]), "data[0].id", "names the record"),
        (("update", [{"id": "x" * 501}]), "data[0].id", "names the record"),
        (("create", [{"{name}": "\ud800"}]), "data[0].{name}", "JSON can hold"),
        (("upsert", [], "{unique}", "{unique}"), "match[1]", "named twice"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(desk: Desk, asked: Any, member: str, said: str):
    names = {"name": desk.ground.name, "unique": desk.ground.unique}
    kind, records, *match = asked
    filled = [{k.format(**names): v for k, v in each.items()} for each in records]
    found = faults(desk, kind, filled, *(each.format(**names) for each in match))
    assert said in found[member.format(**names)]


@settings(max_examples=300, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_whatever_is_asked_is_faulty_or_can_be_sent(provider: Provider, data: st.DataObject):
    desk = DESKS[provider.name]
    names = st.sampled_from(
        [*desk.ground.values, "id", "$id", desk.ground.computed, "company_id", "contact_id"]
    )
    values = st.one_of(JSON_VALUES, *(st.just(v) for v in desk.ground.values.values()))
    records = data.draw(st.lists(st.dictionaries(names, values) | JSON_VALUES, max_size=4))
    match = data.draw(st.lists(names, max_size=2))
    of = data.draw(st.sampled_from([each.id for each in desk.schema.collections]))
    asked = desk.asked(data.draw(st.sampled_from([*MutationKind])), records, *match, of=of)
    try:
        aim, read = wanted(asked, desk.api)
    except Faulty:
        return
    batches = desk.api.compose(aim, read)
    assert [each for batch in batches for each in batch.records] == [*read]
    for batch in batches:
        assert desk.account.router.match(
            batch.request.method, batch.request.host, batch.request.path
        )


def test_only_so_many_faults_are_told(desk: Desk):
    assert len(faults(desk, "create", [{"nope": 1}] * 500)) == MOST_FAULTS


def test_a_field_that_is_called_id_is_written_by_its_own_id(airtable: Desk):
    table = airtable.collection
    own = replace(table.by_name["Name"], id="fldOwnId", name="id")
    asked = Asked(
        replace(table, fields=(*table.fields, own)), MutationKind.CREATE, [{"id": "x"}]
    )
    with pytest.raises(Faulty, match='is written as "fldOwnId"'):
        wanted(asked, airtable.api)
    _, (read,) = wanted(replace(asked, records=[{"fldOwnId": "x"}]), airtable.api)
    assert read.values == {"fldOwnId": "x"}


def test_an_empty_list_finds_nobody(airtable: Desk):
    assert "found by" in faults(airtable, "upsert", [{"Tags": []}], "Tags")["data[0].Tags"]


def test_numbers_that_no_double_holds_are_not_sent_as_something_else(airtable: Desk):
    (read,) = airtable.wanted("create", [{"Amount": "12345678901234567890123"}])
    assert read.values == {"fldAmount00000000": 1.2345678901234568e22}
    assert "308 digits" in faults(airtable, "create", [{"Amount": "1e400"}])["data[0].Amount"]


def test_an_option_that_would_become_two_is_not_sent(hubspot: Desk):
    told = faults(hubspot, "create", [{"hs_buying_role": ["CHAMPION;BLOCKER"]}])
    assert "options without" in told["data[0].hs_buying_role"]


# --- what the API refuses -----------------------------------------------------------------


def test_airtable_refuses_a_batch_whole_and_its_words_are_told(airtable: Desk):
    good, bad = {"Name": "good"}, {"Status": "no such option"}
    done = airtable.mutate("create", [good, bad, good])
    assert {told.status for told in done.outcomes} == {Status.FAILED}
    error = done.outcomes[0].error
    assert error is not None
    assert error.message.startswith("INVALID_MULTIPLE_CHOICE_OPTIONS: ")
    assert (error.status, error.together) == (422, 3)
    assert error.body == json.loads(done.answers[0].body)
    assert airtable.api.blame(done.answers[0]) is Blame.RECORDS


def test_hubspot_writes_what_it_can_and_tells_of_the_rest(hubspot: Desk):
    records = [{"firstname": f"n {at}"} for at in range(7)]
    records[3] = {"lifecyclestage": "no such option"}
    records[5] = {"email": "no address"}
    done = hubspot.mutate("create", records)
    assert [told.status for told in done.outcomes] == [
        Status.FAILED if at in (3, 5) else Status.APPLIED for at in range(7)
    ]
    error = done.outcomes[3].error
    assert error is not None
    assert "no such option was not one of the allowed options" in error.message
    assert (error.status, error.together) == (400, 1)
    assert done.outcomes[5].error != error


def test_records_that_are_not_there_are_told_one_by_one(hubspot: Desk):
    record = hubspot.ground.ids[0]
    done = hubspot.mutate(
        "update", [{"id": "999", "firstname": "x"}, {"id": record, "firstname": "y"}]
    )
    missing, there = done.outcomes
    assert (missing.status, missing.record_id) == (Status.FAILED, "999")
    assert missing.error is not None
    assert missing.error.status == 404
    assert (there.status, there.record_id) == (Status.APPLIED, record)


def test_a_batch_that_hubspot_refuses_whole_may_be_divided(hubspot: Desk):
    twins = [{"email": "a@example.com"}, {"email": "A@example.com"}, {"email": "b@example.com"}]
    done = hubspot.mutate("create", twins)
    assert {told.status for told in done.outcomes} == {Status.FAILED}
    assert hubspot.api.blame(done.answers[0]) is Blame.RECORDS


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_records_are_to_blame_for_what_is_said_of_them(desk: Desk, status: int):
    assert desk.api.blame(answer(status)) is Blame.RECORDS


@pytest.mark.parametrize("status", [401, 402, 403, 405, 408, 425, 429])
def test_callers_are_to_blame_for_what_is_said_of_their_tokens(desk: Desk, status: int):
    assert desk.api.blame(answer(status)) is Blame.CALLER


def test_airtable_says_forbidden_of_a_record_that_is_gone(airtable: Desk):
    done = airtable.mutate("delete", ["recGone0000000000"])
    assert done.answers[0].status == 403
    assert airtable.api.blame(done.answers[0]) is Blame.RECORDS


# --- answers that tell less ---------------------------------------------------------------


def batch_of(desk: Desk, kind: str, records: list[Any], *match: str, of: str = "") -> Any:
    asked = desk.asked(kind, records, *match, of=of)
    (batch,) = desk.api.compose(*wanted(asked, desk.api))
    return batch


def test_what_was_accepted_is_applied_whatever_the_answer_looks_like(desk: Desk):
    batch = batch_of(desk, "create", [{desk.ground.name: "x"}] * 2)
    for body in (None, {}, [], {"records": 5, "results": 5}, {"records": [{}], "results": []}):
        told = desk.api.outcomes(batch, answer(200, body))
        assert [each.status for each in told] == [Status.APPLIED] * 2, body
        assert [each.record_id for each in told] == [None] * 2
    for body in (None, {}, {"error": 5}, {"message": 5}, []):
        told = desk.api.outcomes(batch, answer(422, body))
        assert [each.status for each in told] == [Status.FAILED] * 2, body
        assert all("422" in each.error.message for each in told if each.error)


def test_results_without_trace_ids_are_known_by_what_they_say(hubspot: Desk):
    one, other, _ = hubspot.ground.ids
    batch = batch_of(hubspot, "update", [{"id": one, "score": 1}, {"id": other, "score": 2}])
    body = {"results": [{"id": int(other), "properties": {}}]}
    told = hubspot.api.outcomes(batch, answer(207, body))
    assert [each.status for each in told] == [Status.UNKNOWN, Status.APPLIED]
    body["errors"] = [{"message": "no", "category": "SOMETHING_NEW"}]
    told = hubspot.api.outcomes(batch, answer(207, body))
    assert [each.status for each in told] == [Status.FAILED, Status.APPLIED]
    assert told[0].error is not None
    assert (told[0].error.status, told[0].error.message) == (207, "no")
    upsert = batch_of(hubspot, "upsert", [{"email": "A@b.co"}, {"email": "c@d.co"}], "email")
    body = {"results": [{"id": "7", "new": True, "properties": {"email": "a@b.co"}}]}
    told = hubspot.api.outcomes(upsert, answer(207, body))
    assert (told[0].record_id, told[0].created) == ("7", True)
    assert told[1].status is Status.UNKNOWN
    single = batch_of(hubspot, "create", [{"firstname": "x"}])
    (only,) = hubspot.api.outcomes(single, answer(201, {"results": [{"id": "9"}]}))
    assert only.record_id == "9"


def test_an_archive_that_fails_in_part_tells_whom_it_left(hubspot: Desk):
    batch = batch_of(hubspot, "delete", ["1", "2"])
    errors = [{"message": "no", "category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}]
    told = hubspot.api.outcomes(batch, answer(207, {"errors": errors}))
    assert [each.status for each in told] == [Status.APPLIED, Status.FAILED]
    told = hubspot.api.outcomes(batch, answer(207, {"errors": [{"message": "no"}]}))
    assert [each.status for each in told] == [Status.UNKNOWN] * 2


# --- associations ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create", "upsert"])
def test_associations_are_made_and_taken_away(hubspot: Desk, kind: str):
    pairs = [f"{company}:{contact}" for company, contact in PAIRS]
    spelled = [
        {"company_id": PAIRS[0][0], "contact_id": PAIRS[0][1]},
        {"id": pairs[1]},
    ]
    told = hubspot.mutate(kind, spelled, of=PAIR).outcomes
    assert [(each.status, each.record_id) for each in told] == [
        (Status.APPLIED, pair) for pair in pairs
    ]
    shown = hubspot.provider.plain(hubspot.collection_of(PAIR), told[0].data)
    assert shown == {"id": pairs[0], **spelled[0]}
    assert None not in hubspot.truth(*pairs, of=PAIR)
    told = hubspot.mutate("delete", [pairs[0], spelled[1]], of=PAIR).outcomes
    assert [each.status for each in told] == [Status.APPLIED] * 2
    assert hubspot.truth(*pairs, of=PAIR) == [None, None]


def test_an_association_with_nobody_fails_alone(hubspot: Desk):
    good = ":".join(PAIRS[0])
    told = hubspot.mutate("create", [{"id": good}, {"id": "1:2"}], of=PAIR).outcomes
    assert [each.status for each in told] == [Status.APPLIED, Status.FAILED]
    assert told[1].error is not None
    assert told[1].error.status == 404
    assert told[1].record_id == "1:2"


def test_half_an_association_is_a_fault_and_there_is_nothing_to_update(hubspot: Desk):
    said = faults(hubspot, "create", [{"company_id": "1"}, {"id": "1"}], of=PAIR)
    assert "`company_id` and `contact_id`" in said["data[0].id"]
    assert "two records" in said["data[1].id"]
    said = faults(hubspot, "update", [], of=PAIR)
    assert '"create", "upsert", "delete"' in said["kind"]
    said = faults(hubspot, "delete", [{"id": "1:2", "labels": ["x"]}], of=PAIR)
    assert "are created" in said["data[0].labels"]


def test_a_property_keeps_its_name_and_types_nobody_told_of_are_asked_for(hubspot: Desk):
    asked = hubspot.asked("create", [{"associations": {"company": ["1"]}}])
    untold = tuple(replace(each, aliases=frozenset()) for each in hubspot.schema.collections)
    known = {each.id: each for each in hubspot.schema.collections}
    bare = tuple(each if each.key != ("$id",) else known[each.id] for each in untold)
    with pytest.raises(Faulty, match="refresh the collections first"):
        wanted(replace(asked, schema=Schema(bare)), hubspot.api)
    own = replace(
        hubspot.collection.by_name["firstname"], id="associations", name="associations"
    )
    contacts = replace(hubspot.collection, fields=(*hubspot.collection.fields, own))
    _, (read,) = wanted(
        replace(asked, collection=contacts, records=[{own.name: "x"}]), hubspot.api
    )
    assert (read.values, dict(read.more)) == ({"associations": "x"}, {})

"""Mutations through /v1 at a sandboxed Airtable: rows, refusals, repeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psycopg
import pytest
from multidict import CIMultiDict
from mutations.mutating_api import Airtable, Client, Told, airtable, events
from neighbours.airtable_house import PROVIDER
from neighbours.keyring import new_key
from psycopg.sql import SQL, Identifier

from httpproxy.management.problems import Declined
from httpproxy.mutations import run, sending
from httpproxy.mutations.documents import RecordsToChange
from httpproxy.mutations.run import Caller
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents.claims import Claimed, Claims


@pytest.fixture
async def here(database_dsn: str, tmp_path: Path) -> AsyncIterator[Airtable]:
    async with airtable(database_dsn, tmp_path) as opened:
        yield opened


def named(count: int, word: str = "n") -> list[dict[str, Any]]:
    return [{"Name": f"{word} {at}"} for at in range(count)]


async def order(here: Airtable, **fault: Any) -> None:
    await asyncio.to_thread(
        here.at.apis.order, {"host": PROVIDER.hosts[0], "path": here.at.table_id, **fault}
    )


# --- what is applied ------------------------------------------------------------------------


async def test_records_of_any_number_are_rows_when_the_answer_is_there(here: Airtable):
    told = await here.client.run("create", named(25))
    assert told.status == 200, told.body
    assert told.each("index") == [*range(25)]
    assert {*told.each("status")} == {"applied"}
    assert {*told.each("committed")} == {"applied"}
    assert told.body["kind"] == "create"
    assert told.body["collection_id"] == here.client.collection
    assert told.body["awaited"] is None
    rows = here.at.rows()
    assert [rows[i]["name"] for i in told.each("upstream_id")] == [f"n {n}" for n in range(25)]
    shown = told.results[3]["data"]
    assert shown["Name"] == "n 3"
    assert shown["id"] == told.results[3]["upstream_id"]
    assert await here.calls() == 3


async def test_events_say_that_it_was_a_mutation_and_which(here: Airtable):
    told = await here.client.run("create", named(11))
    found = [each for each in events(here.at.dsn) if each["event"] == "created"]
    assert {each["origin"] for each in found} == {"mutation"}
    mutation = told.body["mutation_id"]
    assert [each["request_id"] for each in found] == [f"{mutation}-1"] * 10 + [f"{mutation}-2"]
    assert told.headers["X-Request-Id"] == mutation


async def test_each_kind_has_a_path_and_one_record_needs_no_list(here: Airtable):
    asked = {**here.client.named, "data": {"Name": "one", "Amount": 1.5, "tags": ["b"]}}
    made = await here.client.post("/v1/mutations/run/create", asked)
    (record,) = made.each("upstream_id")
    asked["data"] = {"id": record, "Done": True}
    changed = await here.client.post("/v1/mutations/run/update", asked)
    assert changed.status == 200, changed.body
    row = here.at.rows()[record]
    assert (row["name"], row["amount"], row["done"], row["tags"]) == ("one", 1.5, True, ["b"])
    asked |= {"data": [{"Name": "one", "Amount": 2}, {"Name": "two"}], "match": "Name"}
    upserted = await here.client.post("/v1/mutations/run/upsert", asked)
    assert upserted.each("created") == [False, True]
    assert upserted.each("upstream_id")[0] == record
    gone = await here.client.run("delete", [record])
    assert gone.each("data") == [None]
    assert record not in here.at.rows()


async def test_a_sync_and_a_collection_go_by_any_of_their_names(here: Airtable):
    for sync in (here.at.sync.id, here.at.sync.name):
        for collection in (here.at.table_id, "Büro / Lager & Co", here.client.collection):
            asked = {"sync_id": sync, "collection_id": collection, "data": {"Name": "x"}}
            told = await here.client.post("/v1/mutations/run/create", asked)
            assert told.status == 200, told.body


async def test_many_are_worked_out_beside_other_calls(
    here: Airtable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run, "MANY", 1)
    told = await here.client.run("create", named(3))
    assert told.each("status") == ["applied"] * 3
    assert (await here.client.run("create", [{"Nam": 1}] * 3)).body["code"] == "bad_body"


async def test_nothing_to_do_is_done(here: Airtable):
    told = await here.client.run("create", [])
    assert (told.status, told.results) == (200, [])
    assert await here.calls() == 0


# --- what is wrong ----------------------------------------------------------------------------


async def test_what_is_wrong_is_named_and_nothing_is_sent(here: Airtable):
    told = await here.client.run("create", [{"Name": "x"}, {"Nam": 1}, {"Amount": "much"}])
    assert told.status == 400
    assert told.body["code"] == "bad_body"
    assert [each["member"] for each in told.body["errors"]] == ["data[1].Nam", "data[2].Amount"]
    assert told.body["member"] == "data[1].Nam"
    assert await here.calls() == 0


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"collection_id": "airtable:nope"}, "collection_id"),
    ({"collection_id": "hubspot:contact"}, "collection_id"),
    ({"sync_id": "sync_nope"}, "sync_id"),
    ({"await_consumer_ids": ["replica:nope"]}, "await_consumer_ids[0]"),
    ({"await_consumer_ids": ["nope"]}, "await_consumer_ids[0]"),
    ({"await_consumers_timeout": 61}, "await_consumers_timeout"),
    ({"kind": "merge"}, "kind"),
    ({"unknown": 1}, "unknown"),
    ({"data": 5}, "data"),
    ({"match": ["Name"]}, "match"),
)


async def test_each_wrong_member_is_named(here: Airtable):
    for members, member in WRONG:
        told = await here.client.run("create", [{"Name": "x"}], **members)
        assert told.status in (400, 404), (members, told.body)
        assert told.body["member"] == member
    assert await here.calls() == 0


async def test_keys_must_be_for_writing_and_for_this_sync(here: Airtable):
    reader = await new_key(here.at.house, "read")
    own = await new_key(here.at.house, "write", sync_id=here.at.sync.id)
    for key, status in ((reader, 403), (own, 200), ("hpk_nobody", 401)):
        told = await Client(here.at.house, here.client.sync, here.client.collection, key).run(
            "create", [{"Name": "x"}]
        )
        assert told.status == status, told.body


# --- what the API refuses ---------------------------------------------------------------------


async def test_a_record_that_is_refused_fails_alone_in_the_api_s_own_words(here: Airtable):
    data = named(25)
    data[13] = {"Choice": "no such option"}
    told = await here.client.run("create", data)
    assert told.status == 207
    assert [n for n, status in enumerate(told.each("status")) if status != "applied"] == [13]
    failed = told.results[13]
    assert (failed["status"], failed["committed"], failed["data"]) == ("failed", None, None)
    assert failed["error"]["message"].startswith("INVALID_MULTIPLE_CHOICE_OPTIONS: ")
    assert (failed["error"]["status"], failed["error"]["together"]) == (422, 1)
    assert failed["error"]["code"] is None
    assert len(here.at.truths()) == len(here.at.rows()) == 24
    # Three batches; the second in halves, and the half with the record four times again.
    assert await here.calls() == 3 + 4 * 2


async def test_if_the_api_refuses_all_it_is_a_problem_with_all_the_results(here: Airtable):
    told = await here.client.run("create", [{"Choice": "nope"}] * 3)
    assert told.status == 422
    assert told.headers["Content-Type"] == "application/problem+json"
    assert (told.body["code"], told.body["source"]) == ("mutation_failed", "api")
    assert told.each("status") == ["failed"] * 3
    assert {each["together"] for each in told.each("error")} == {1}
    assert here.at.rows() == {}


async def test_divisions_come_to_an_end(here: Airtable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "MOST_DIVISIONS", 1)
    data = [*named(4), {"Choice": "nope"}, *named(5)]
    told = await here.client.run("create", data)
    assert told.each("status") == ["failed"] * 5 + ["applied"] * 5
    assert {each["together"] for each in told.each("error")[:5]} == {5}
    assert await here.calls() == 3


async def test_who_is_refused_for_the_token_sends_no_more(here: Airtable):
    await order(here, kind="status", status=401, method="POST", count=9)
    told = await here.client.run("create", named(25))
    assert told.status == 422
    assert told.each("status") == ["failed"] * 10 + ["not_sent"] * 15
    assert told.results[0]["error"]["status"] == 401
    assert await here.calls() <= 2


async def test_records_that_are_not_there_are_told_from_those_that_are(here: Airtable):
    ids = (await here.client.run("create", named(5))).each("upstream_id")
    told = await here.client.run("delete", [*ids[:3], "recGone0000000000", *ids[3:]])
    assert told.status == 207
    assert told.each("status") == ["applied"] * 3 + ["failed"] + ["applied"] * 2
    assert told.results[3]["error"]["status"] == 403
    assert here.at.rows() == {}


async def test_with_typecast_an_option_is_made_and_rows_have_what_the_api_made(
    here: Airtable,
):
    given = {
        "Choice": "Blue",
        "Amount": "12.5",
        "Done": "checked",
        "Tags": "b, new",
    }
    refused = await here.client.run("create", given)
    assert (refused.status, await here.calls()) == (400, 0)
    told = await here.client.run("create", given, "key", typecast=True)
    assert told.status == 200, told.body
    (record,) = told.each("upstream_id")
    truth, row = here.at.truth(record)["fields"], here.at.rows()[record]
    assert told.results[0]["data"] == {"id": record, "createdTime": ANY, **truth}
    assert (row["choice"], row["amount"], row["tags"]) == ("Blue", 12.5, truth["Tags"])
    # What the option is for is part of what a key stands for.
    other = await here.client.run("create", given, "key")
    assert other.body["code"] == "idempotency_key_reused"
    told = await here.client.run(
        "upsert", {"Choice": "Green", "Name": "x"}, match=["Name"], typecast=True
    )
    assert here.at.rows()[told.each("upstream_id")[0]]["choice"] == "Green"
    told = await here.client.run("delete", [record], typecast=True)
    assert (told.status, told.body["member"]) == (400, "typecast")


# --- what nobody knows ------------------------------------------------------------------------


async def test_an_uncertain_answer_is_unknown_and_the_rest_is_not_sent(here: Airtable):
    for fault, status in (
        ({"kind": "status", "status": 503, "when": "after"}, 503),
        ({"kind": "drop", "when": "after"}, 502),
        ({"kind": "drop", "when": "before"}, 502),
    ):
        key = f"{fault}"
        await order(here, method="POST", **fault)
        before = len(here.at.truths())
        told = await here.client.run("create", named(15, key), key)
        assert told.status == 207
        assert told.each("status") == ["unknown"] * 10 + ["not_sent"] * 5
        assert told.results[0]["error"]["status"] == status
        if fault["when"] == "before":
            continue  # that nothing was applied takes five minutes of looking to be certain
        again = await settled(here.client, "create", named(15, key), key)
        assert again.status == 200, again.body
        assert len(here.at.truths()) == len(here.at.rows()) == before + 15
        names = [here.at.rows()[i]["name"] for i in again.each("upstream_id")]
        assert names == [f"{key} {n}" for n in range(15)]


async def settled(client: Client, kind: str, data: Any, key: str) -> Told:
    """The answer to a repeat, once the calls before it are settled."""
    async with asyncio.timeout(60):
        while True:
            told = await client.run(kind, data, key)
            if told.status != 409:
                return told
            assert told.body["code"] in ("idempotency_in_flight", "idempotency_uncertain")
            assert int(told.headers["Retry-After"]) >= 1
            await asyncio.sleep(0.2)


# --- repeats ----------------------------------------------------------------------------------


async def test_a_repeat_sends_nothing_and_answers_alike(here: Airtable):
    data = named(12)
    data[4] = {"Choice": "nope"}
    first = await here.client.run("create", data, "again")
    calls = await here.calls()
    second = await here.client.run("create", data, "again")
    assert (first.status, second.status) == (207, 207)
    assert second.results == first.results
    assert await here.calls() == calls
    assert len(here.at.truths()) == 11
    keys = await here.keys()
    assert len({*keys}) == len(keys) == calls
    assert all(key.startswith("mutation ") for key in keys)


async def test_the_same_key_with_another_body_is_refused(here: Airtable):
    assert (await here.client.run("create", named(12), "mine")).status == 200
    calls = await here.calls()
    for kind, data in (
        ("create", named(11)),
        ("create", named(13)),
        ("create", [*named(11), {"Name": "other"}]),
        ("delete", ["rec1"]),
    ):
        told = await here.client.run(kind, data, "mine")
        assert told.status == 422, told.body
        assert told.body["code"] == "idempotency_key_reused"
        assert told.body["member"] == "Idempotency-Key"
    assert await here.calls() == calls
    assert (await here.client.run("create", named(12), "x" * 256)).status == 400


async def test_a_batch_that_was_divided_is_never_sent_whole_again(here: Airtable):
    """Airtable's 403 is not kept for its key: the same call may be allowed later."""
    ids = (await here.client.run("create", named(3))).each("upstream_id")
    gone = "recLater000000000"
    data = [{"id": i, "Amount": 1} for i in (ids[0], gone, ids[1])]
    first = await here.client.run("update", data, "key")
    assert first.each("status") == ["applied", "failed", "applied"]
    calls = await here.calls("PATCH")
    second = await here.client.run("update", data, "key")
    assert second.each("status") == first.each("status")
    whole = calls  # what failed alone was asked for once more, and nothing else
    assert await here.calls("PATCH") - whole <= 2


async def test_what_was_not_sent_is_sent_by_the_repeat(here: Airtable):
    await order(here, kind="status", status=401, method="POST")
    first = await here.client.run("create", named(15), "key")
    assert first.each("status") == ["failed"] * 10 + ["not_sent"] * 5
    second = await here.client.run("create", named(15), "key")
    assert {*second.each("status")} == {"applied"}
    assert len(here.at.truths()) == 15


async def test_two_at_once_with_one_key_write_once(here: Airtable):
    await order(here, kind="delay_before", seconds=0.3, method="POST", count=2)
    both = await asyncio.gather(*(here.client.run("create", named(12), "k") for _ in "ab"))
    assert sorted(told.status for told in both) in ([200, 200], [200, 409], [409, 409])
    last = await settled(here.client, "create", named(12), "k")
    assert last.status == 200
    assert len(here.at.truths()) == 12


# --- trying out -------------------------------------------------------------------------------


async def test_a_dry_run_shows_what_would_be_and_sends_nothing(here: Airtable):
    ids = (await here.client.run("create", named(12))).each("upstream_id")
    calls = await here.calls()
    data = [{"id": i, "Amount": at} for at, i in enumerate(ids)]
    data[11]["Choice"] = "nope"
    told = await here.client.run("update", data, "tried", dry_run=True)
    assert told.status == 200, told.body
    assert told.body["dry_run"] is True
    assert told.results == []
    shown = told.body["preview"]
    assert len(shown["requests"]) == 2
    assert ["Authorization", "…"] in shown["requests"][0]["headers"]
    changes = [each for each in shown["changes"] if each["kind"] == "update"]
    assert [each["new"].get("amount") for each in changes] == [*range(12)]
    assert [fault.partition(": ")[0] for fault in shown["faults"]] == ["data[11]"]
    assert shown["permits"]["cost"] == 2
    assert shown["more_records"] == 0
    assert await here.calls() == calls
    # A dry run claims no key.
    assert (await here.client.run("update", data[:1], "tried")).status == 200


async def test_a_dry_run_of_many_shows_the_first(here: Airtable):
    told = await here.client.run("create", named(250), dry_run=True)
    assert len(told.body["preview"]["changes"]) == 200
    assert told.body["preview"]["more_records"] == 50
    assert told.body["preview"]["permits"]["cost"] == 25
    empty = await here.client.run("create", [], dry_run=True)
    assert (empty.body["preview"]["requests"], empty.body["preview"]["permits"]) == ([], None)


# --- a process and a database with troubles ---------------------------------------------------


async def test_a_process_that_is_to_end_finishes_its_call_and_begins_no_other(here: Airtable):
    first = here.at.apis.hold("POST", here.at.table_id)
    running = asyncio.ensure_future(here.client.run("create", named(25), "key"))
    await first.reached()
    second = here.at.apis.hold("POST", here.at.table_id)
    first.let_go()
    await second.reached()
    ending = asyncio.ensure_future(here.at.house.service.house.mutations.drain(60.0))
    await asyncio.sleep(0)  # it has begun
    second.let_go()
    await ending
    told = await running
    assert told.status == 207
    assert told.each("status") == ["applied"] * 20 + ["not_sent"] * 5
    assert told.results[20]["error"]["code"] == "draining"
    assert len(here.at.rows()) == 20


async def test_a_row_that_cannot_be_written_now_is_deferred_and_not_awaited(
    database_dsn: str, tmp_path: Path
):
    settings = {"commit_timeout": 0.2, "replicas": {"near": database_dsn}}
    async with airtable(database_dsn, tmp_path, **settings) as here:
        with psycopg.connect(database_dsn) as connection:
            table = Identifier(here.at.schema, here.at.table_name)
            connection.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            told = await here.client.run(
                "create", {"Name": "x"}, await_consumer_ids="replica:near"
            )
        assert (told.status, told.body["awaited"]) == (200, False), told.body
        assert told.each("committed") == ["deferred"]


async def test_if_the_database_goes_away_in_between_what_was_done_is_told(
    here: Airtable, monkeypatch: pytest.MonkeyPatch
):
    """Dividing is kept before halves are sent; where it cannot be kept, none are."""
    data = named(15)
    data[13] = {"Choice": "nope"}
    keep = Claims.claim

    async def claim(self: Claims, sync_id: str, key: str, *what: bytes) -> Claimed | None:
        if what == (b"divided",):
            raise Unavailable("the database is away")
        return await keep(self, sync_id, key, *what)

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "claim", claim)
        told = await here.client.run("create", data, "key")
        assert told.each("status") == ["applied"] * 10 + ["failed"] * 5
        assert {each["together"] for each in told.each("error")[10:]} == {5}
    told = await here.client.run("create", data, "key")
    assert [at for at, status in enumerate(told.each("status")) if status == "failed"] == [13]
    assert len(here.at.truths()) == 14


async def test_of_a_sync_that_is_gone_nothing_is_changed(here: Airtable):
    mutations = here.at.house.service.house.mutations
    gone = replace(here.at.sync, id="sync_gone")
    asked = RecordsToChange(sync_id="x", collection_id="Tasks", data=[{"Name": "x"}])
    with pytest.raises(Declined, match="unknown_sync"):
        await mutations.run(gone, asked, "create", Caller("1", CIMultiDict()))

"""Idempotency keys: claimed once, and what is told to whoever repeats one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.values import Kept, KeyInUse
from tests.store.intending import ANSWER, SYNC, ask, call, live, settled, states


@pytest.fixture
async def intents(database_dsn: str) -> AsyncIterator[Intents]:
    await live(database_dsn, 7, 8)
    async with Intents(database_dsn, lambda: 7) as intents:
        yield intents


async def refused(intents: Intents, key: str = "key") -> Kept:
    with pytest.raises(KeyInUse) as caught:
        await intents.begin(call("again", key))
    return caught.value.kept


async def test_of_many_that_come_at_once_one_gets_the_key(
    intents: Intents, database_dsn: str
) -> None:
    async with Intents(database_dsn, lambda: 8) as other:
        for turn in range(4):
            told = await asyncio.gather(
                *(
                    each.begin(call(f"{n}", f"key {turn}"))
                    for n in range(25)
                    for each in (intents, other)
                ),
                return_exceptions=True,
            )
            won = [each for each in told if isinstance(each, int)]
            lost = [each for each in told if isinstance(each, KeyInUse)]
            assert (len(won), len(lost)) == (1, 49)
            assert {each.kept.state for each in lost} == {"in_flight"}
            assert list(await states(database_dsn)) == won, "who lost leaves no intent"
            intents.answer(won[0], ANSWER)
            await settled(database_dsn, {})


async def test_a_key_is_told_what_is_known_of_its_call(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call("r1", "key"))
    kept = await refused(intents)
    assert (kept.state, kept.response, kept.records) == ("in_flight", None, ())
    assert kept.fingerprint == b"\x00print of key"
    assert 0 <= kept.age < 60
    intents.doubt(begun, "timeout")
    await settled(database_dsn, {begun: "uncertain"})
    assert (await refused(intents)).state == "uncertain"
    (doubt,) = await intents.due()
    assert doubt.keyed
    await intents.looked(begun, "not there", 10.0)
    assert (await refused(intents)).state == "uncertain"
    await intents.looked(begun, "found", None, outcome="applied", records=("rec1", "rec2"))
    kept = await refused(intents)
    assert (kept.state, kept.records, kept.response) == ("applied", ("rec1", "rec2"), None)
    known = await intents.kept(SYNC, "key")
    assert known is not None
    assert (known.state, known.records) == ("applied", ("rec1", "rec2"))


async def test_an_outcome_that_cannot_be_told_is_told_as_such(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call("r1", "key"))
    await intents.looked(begun, "who knows", None, outcome="unclear")
    assert (await refused(intents)).state == "unclear"
    await ask(database_dsn, "UPDATE httpproxy.idempotency SET state = 'open'")
    assert (await refused(intents)).state == "unclear", "its intent is gone"


@pytest.mark.parametrize("outcome", ["absent", None])
async def test_a_key_whose_call_had_no_effect_is_free_again(
    intents: Intents, outcome: str | None
) -> None:
    begun = await intents.begin(call("r1", "key"))
    await intents.looked(begun, "not there", None, outcome=outcome)
    assert await intents.kept(SYNC, "key") is None
    assert await intents.begin(call("r2", "key")) != begun


async def test_a_key_whose_call_was_not_sent_is_free_in_the_same_group(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call("r1", "key"))
    intents.end(begun)
    again = await intents.begin(call("r2", "key"))
    assert await states(database_dsn) == {again: "sent"}


async def test_keys_of_other_syncs_are_other_keys(intents: Intents, database_dsn: str) -> None:
    one = await intents.begin(call("r1", "key"))
    two = await intents.begin(call("r1", "key", sync_id="sync_other"))
    three = await intents.begin(call("r1", "key \udce9\0"))
    assert set(await states(database_dsn)) == {one, two, three}
    assert await intents.kept(SYNC, "key \udce9\0") is not None


async def test_an_answer_is_told_again_byte_for_byte(database_dsn: str) -> None:
    async with Intents(database_dsn, lambda: 7) as intents:
        intents.answer(await intents.begin(call("r1", "key")), ANSWER)
    async with Intents(database_dsn, lambda: 8) as later:
        kept = await refused(later)
    assert kept.state == "answered"
    told = kept.response
    assert told is not None
    assert (told.status, told.reason, told.body) == (200, "All Right: really", ANSWER.body)
    assert list(told.headers.items()) == list(ANSWER.headers.items())


async def test_an_answer_to_a_doubt_is_told_while_it_is_looked_after(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call("r1", "key"))
    intents.doubt(begun, "overlapping writes", ANSWER)
    await settled(database_dsn, {begun: "uncertain"})
    assert (await refused(intents)).response == ANSWER
    (doubt,) = await intents.due()
    await intents.looked(doubt.id, "read back", None, outcome="unclear")
    assert (await refused(intents)).response == ANSWER, "the API's own word stands"


async def test_an_answer_that_comes_after_all_is_told_in_place_of_what_was_found(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call("r1", "key"))
    await intents.looked(begun, "found", None, outcome="applied", records=["rec1"])
    intents.answer(begun, ANSWER)
    intents.end(await intents.begin(call("later")))
    await settled(database_dsn, {})
    kept = await refused(intents)
    assert (kept.state, kept.response, kept.records) == ("answered", ANSWER, ())


async def test_an_end_leaves_the_answer_that_is_kept(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call("r1", "key"))
    intents.doubt(begun, "overlapping writes", ANSWER)
    await settled(database_dsn, {begun: "uncertain"})
    intents.end(begun)
    await settled(database_dsn, {})
    assert (await refused(intents)).response == ANSWER


async def test_old_keys_are_forgotten_but_for_those_that_are_not_settled(
    intents: Intents, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.intents.ledger._PRUNED_AT_ONCE", 2)
    for n in range(5):
        intents.answer(await intents.begin(call(f"r{n}", f"old {n}")), ANSWER)
    await intents.begin(call("open", "open"))
    left = await intents.begin(call("left", "left"))
    await ask(database_dsn, "DELETE FROM httpproxy.intent WHERE id = %s", left)
    await ask(
        database_dsn, "UPDATE httpproxy.idempotency SET claimed_at = now() - interval '2 h'"
    )
    intents.answer(await intents.begin(call("new", "new")), ANSWER)
    await intents.begin(call("last"))
    assert await intents.prune(3600.0) == 6
    rows = await ask(database_dsn, "SELECT key FROM httpproxy.idempotency ORDER BY key")
    assert [row["key"] for row in rows] == ["new", "open"]


async def test_a_key_that_another_process_is_just_claiming_is_waited_for(
    intents: Intents, database_dsn: str
) -> None:
    insert = (
        "INSERT INTO httpproxy.idempotency (sync_id, key, intent, fingerprint)"
        " VALUES (%s, 'key', 1, 'x')"
    )
    async with await psycopg.AsyncConnection.connect(database_dsn) as other:
        await other.execute(insert, [SYNC])
        task = asyncio.ensure_future(intents.begin(call("r1", "key")))
        await asyncio.sleep(0.4)  # longer than a lock is waited for at once
        assert not task.done()
        await other.rollback()
    begun = await task
    assert await states(database_dsn) == {begun: "sent"}

"""The slots of a limit in the database: nobody gets what another holds, may hold, or held
just now. Processes are rows; their words come in any order."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import psycopg
import pytest
from neighbours.rounds import until

from httpproxy.store.database import Database
from httpproxy.store.errors import Fenced
from httpproxy.store.sharing.permits import Permits
from httpproxy.store.sharing.processes import Processes
from httpproxy.store.sharing.terms import Found, Offer

LANE = '["airtable", "appX", "standard"]'
OFFER = Offer(LANE, 0, 0, (0, 0, 0, 0, 0), 5, 0.3, 0, judged=0.3)


class Party:
    """A process that is there, and its words."""

    def __init__(self, permits: Permits, number: int) -> None:
        self.permits, self.number, self.serial = permits, number, 0

    async def say(self, keep: int, ask: int, **other: object) -> Found:
        self.serial += 1
        return await self.say_as(self.serial, keep, ask, **other)

    async def say_as(self, serial: int, keep: int, ask: int, **other: object) -> Found:
        offer = replace(OFFER, keep=keep, ask=ask, **other)
        found = await self.permits.exchange(self.number, serial, [offer])
        return found[LANE]


@pytest.fixture
async def parties(database_dsn):
    async with Database(database_dsn) as database:
        processes = Processes(database)
        permits = Permits(database)
        numbers = [await processes.register("test", []) for _ in range(3)]
        yield [Party(permits, number) for number in numbers]


async def declare_gone(dsn: str, party: Party) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(
            "DELETE FROM httpproxy.process WHERE number = %s", [party.number]
        )


async def test_a_slot_is_one_process_s_and_goes_to_another_when_it_is_given_back(parties):
    one, two, _ = parties
    assert (await one.say(0, 5)).held(one.number) == 5
    assert (await two.say(0, 3)).held(two.number) == 0
    assert (await one.say(3, 0)).free == 2
    found = await two.say(0, 3)
    assert (found.held(one.number), found.held(two.number), found.free) == (3, 2, 0)


async def test_a_word_said_twice_means_what_it_means_once(parties):
    one, two, _ = parties
    await one.say(0, 5)
    await one.say(3, 0)
    await one.say(3, 0)
    assert (await two.say(0, 5)).held(two.number) == 2


async def test_a_word_that_comes_late_changes_nothing(parties):
    one, two, _ = parties
    await one.say_as(1, 0, 5)
    found = await one.say_as(3, 5, 0)
    assert await one.permits.exchange(one.number, 2, [replace(OFFER, keep=2)]) == {}
    assert found.held(one.number) == 5
    assert (await two.say(0, 5)).held(two.number) == 0


async def test_nobody_keeps_more_than_he_was_given(parties):
    one, _, _ = parties
    assert (await one.say(4, 0)).held(one.number) == 0
    await one.say(0, 2)
    assert (await one.say(5, 0)).held(one.number) == 2


async def test_the_slots_of_the_gone_come_back_an_interval_after_that_was_found(
    parties, database_dsn
):
    one, two, _ = parties
    await one.say(0, 4)
    await two.say(0, 0)
    await declare_gone(database_dsn, one)
    await asyncio.sleep(0.35)  # nobody has noticed yet: their time has not begun
    before = time.monotonic()
    found = await two.say(0, 5)
    assert (found.held(two.number), found.cooling, found.free) == (1, 4, 0)
    assert 0 < found.cold_in <= 0.3
    while (found := await two.say(1, 5)).held(two.number) == 1:
        assert found.cooling == 4
        await asyncio.sleep(0.02)
    assert found.held(two.number) == 5
    assert time.monotonic() - before >= 0.3


async def test_who_was_declared_gone_is_told_and_gets_nothing(parties, database_dsn):
    one, two, _ = parties
    await one.say(0, 2)
    await declare_gone(database_dsn, one)
    with pytest.raises(Fenced):
        await one.say(2, 3)
    assert (await two.say(0, 0)).held(one.number) == 0


async def _wait(dsn: str, count: int) -> None:
    """Returns once so many queries wait for a lock."""
    waiting = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def do_wait() -> bool:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            return (await connection.execute(waiting)).rowcount >= count

    await until(do_wait)


async def test_a_process_cannot_be_declared_gone_in_the_middle_of_its_word(
    parties, database_dsn
):
    one, _, _ = parties
    await one.say(0, 1)
    async with await psycopg.AsyncConnection.connect(database_dsn) as holder:
        await holder.execute("SELECT FROM httpproxy.lane FOR UPDATE")
        word = asyncio.ensure_future(one.say(1, 1))
        await _wait(database_dsn, 1)
        gone = asyncio.ensure_future(declare_gone(database_dsn, one))
        await _wait(database_dsn, 2)
        assert not gone.done()
        await holder.commit()
        assert (await word).held(one.number) == 2
        await gone


async def test_the_strictest_rate_that_anybody_knows_is_everybody_s(parties):
    one, two, three = parties
    found = await one.say(0, 0, requests=190, period=10.0)
    assert (found.slots, found.period) == (190, 10.0)
    found = await two.say(0, 0, requests=100, period=10.0, concurrent=7)
    assert (found.slots, found.period, found.concurrent) == (100, 10.0, 7)
    found = await three.say(0, 0, requests=5, period=1.0)  # 50 in ten seconds
    assert (found.slots, found.period) == (5, 1.0)
    await two.say(0, 0, leaves=True)
    await three.say(0, 0, leaves=True)
    found = await one.say(0, 0, requests=190, period=10.0)
    assert (found.slots, found.period, found.concurrent) == (190, 10.0, 0)


async def test_a_limit_that_shrinks_gives_nothing_before_the_shares_have_shrunk_below_it(
    parties,
):
    one, two, three = parties
    await one.say(0, 3)
    await two.say(0, 2)
    found = await one.say(3, 0, requests=2)
    assert (found.slots, found.free) == (2, -3)
    assert (await three.say(0, 2)).held(three.number) == 0
    await one.say(1, 0, requests=2)
    assert (await three.say(0, 2)).held(three.number) == 0
    await two.say(0, 0)
    assert (await three.say(0, 2)).held(three.number) == 1


async def test_what_is_cold_by_a_shorter_interval_cools_by_the_longer_one(parties):
    one, two, three = parties
    await one.say(0, 3)
    found = await two.say(0, 5, period=2.0)
    assert (found.period, found.held(two.number), found.cooling) == (2.0, 0, 2)
    # The first one has not heard of it, and gives back what is cold by its own clock.
    found = await one.say(1, 0)
    assert (found.cooling, found.free) == (4, 0)
    await asyncio.sleep(2.05)
    assert (await three.say(0, 5)).held(three.number) == 4


async def test_a_pause_is_everybody_s_and_only_ever_prolonged(parties):
    one, two, _ = parties
    assert (await one.say(0, 0, pause=500.0)).paused == pytest.approx(500.0, abs=20)
    assert 400 < (await two.say(0, 0, pause=100.0)).paused < 500.0


async def test_a_lane_that_all_have_left_is_forgotten(parties, database_dsn):
    one, two, _ = parties
    await one.say(0, 2)
    await two.say(0, 0)
    await one.say(0, 0, leaves=True)
    await two.say(0, 0, leaves=True)
    async with await psycopg.AsyncConnection.connect(database_dsn) as connection:
        left = await (await connection.execute("SELECT FROM httpproxy.lane")).fetchall()
        shares = await (await connection.execute("SELECT FROM httpproxy.lane_share")).fetchall()
    assert (left, shares) == ([], [])


async def test_many_at_once_never_hold_more_than_there_is(parties):
    lanes = [f'["airtable", "app{n}", "standard"]' for n in range(4)]

    async def haggle(party: Party, order: int) -> None:
        for serial in range(1, 30):
            offers = [
                replace(OFFER, lane=lane, keep=(serial + order) % 4, ask=(serial * order) % 5)
                for lane in (lanes if order % 2 else lanes[::-1])
            ]
            for found in (await party.permits.exchange(party.number, serial, offers)).values():
                assert sum(share.slots for share in found.shares) <= 5
                assert found.free >= 0

    await asyncio.gather(*(haggle(party, n + 1) for n, party in enumerate(parties)))

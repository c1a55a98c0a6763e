"""Several processes, each sync in exactly one of them: shared out, handed over, taken over."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from neighbours.airtable_house import open_airtable
from neighbours.house import open_house
from test_airtable_sync import agree, make
from waiting import QUICK, until, until_listed

from httpproxy.sharing.presence import Presence
from httpproxy.store.database import Database
from httpproxy.store.sharing.processes import Processes
from httpproxy.store.sync.owners import Owners
from httpproxy.sync import ownership as ownerships
from httpproxy.sync.ownership import Ownership
from tests.store.test_owners import execute, make_syncs


class _Member:
    """A process without jobs: it looks when it is told to."""

    def __init__(self, database, presence) -> None:
        self.presence = presence
        self.ownership = Ownership(Owners(database), presence)
        self.busy: set[str] = set()
        self.active: dict[str, bool] = {}

    async def look(self) -> None:
        await self.ownership.look(self.active, self.busy.__contains__)

    def syncs(self) -> set[str]:
        return {each for each in self.active if self.ownership.fence(each) is not None}


@asynccontextmanager
async def _members(dsn, count):
    """Processes that come one after the other."""
    async with Database(dsn) as database, AsyncExitStack() as stack:

        async def join(name):
            presence = Presence(Processes(database), name, ["sync"], clock=lambda: 0.0)
            member = _Member(database, await stack.enter_async_context(presence))
            member.active = {f"s{n:05}": True for n in range(1, count + 1)}
            return member

        yield join


async def _looks(members, times):
    for _ in range(times):
        for member in members:
            await member.look()


async def test_a_process_that_comes_gets_its_share_and_nothing_moves_after_that(database_dsn):
    make_syncs(database_dsn, 10)
    async with _members(database_dsn, 10) as join:
        first = await join("first")
        await first.look()
        assert len(first.syncs()) == 10
        everybody = [first, await join("second"), await join("third")]
        await _looks(everybody, 2 * ownerships.TOO_MANY)
        shares = [member.syncs() for member in everybody]
        assert [len(share) for share in shares] == [4, 3, 3]
        assert set().union(*shares) == set(first.active)
        await _looks(everybody, 2 * ownerships.TOO_MANY)
        assert [member.syncs() for member in everybody] == shares


async def test_a_sync_is_handed_over_when_its_jobs_have_come_to_rest(database_dsn):
    make_syncs(database_dsn, 2)
    async with _members(database_dsn, 2) as join:
        first = await join("first")
        await first.look()
        first.busy = set(first.active)
        second = await join("second")
        await _looks([first, second], 2 * ownerships.TOO_MANY)
        assert len(first.syncs()) == 1, "no job of it begins here any more"
        assert second.syncs() == set(), "and none there while one runs here"
        first.busy = set()
        await _looks([first, second], 1)
        assert second.syncs() == set(first.active) - first.syncs()


async def test_a_pause_or_a_deletion_moves_no_other_sync(database_dsn):
    make_syncs(database_dsn, 3)
    async with _members(database_dsn, 3) as join:
        alone = await join("alone")
        await alone.look()
        execute(database_dsn, "UPDATE httpproxy.sync SET status = 'paused' WHERE id = 's00001'")
        execute(database_dsn, "DELETE FROM httpproxy.sync WHERE id = 's00002'")
        await _looks([alone], ownerships.TOO_MANY - 1)  # before the directory has heard of it
        assert "s00003" in alone.syncs()
        alone.active = {"s00001": False, "s00003": True}
        await _looks([alone], 2 * ownerships.TOO_MANY)
        assert alone.syncs() == {"s00003"}
        execute(database_dsn, "UPDATE httpproxy.sync SET status = 'active'")
        alone.active["s00001"] = True
        await _looks([alone], 1)
        assert alone.syncs() == {"s00001", "s00003"}


async def test_who_retires_or_is_declared_gone_has_none_and_the_others_have_all(database_dsn):
    make_syncs(database_dsn, 4)
    async with _members(database_dsn, 4) as join:
        first, second, third = [await join(name) for name in ("first", "second", "third")]
        await _looks([first, second, third], 2)
        await third.ownership.retire()
        await _looks([first, second, third], 2)
        assert (len(first.syncs()), len(second.syncs()), third.syncs()) == (2, 2, set())
        assert not third.ownership.may_begin()
        execute(
            database_dsn,
            f"DELETE FROM httpproxy.process WHERE number = {first.presence.number}",
        )
        await second.look()
        assert len(second.syncs()) == 4
        await first.presence._beat_or_return()
        assert first.syncs() == set(), "it knows by its own beat"


async def test_a_claim_whose_answer_was_lost_is_found_again(database_dsn, monkeypatch):
    make_syncs(database_dsn, 2)
    async with _members(database_dsn, 2) as join:
        member = await join("one")
        claim = Owners.claim

        async def cut(self, process, held):
            await claim(self, process, held)
            raise ConnectionError("the answer is lost")

        monkeypatch.setattr(Owners, "claim", cut)
        with pytest.raises(ConnectionError):
            await member.look()
        monkeypatch.undo()
        assert member.syncs() == set()
        await member.look()
        assert member.syncs() == set(member.active)


def _owner(dsn: str) -> int | None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT process FROM httpproxy.sync_owner").fetchone()
    return None if row is None else row[0]


async def test_another_process_goes_on_when_one_ends_or_is_gone(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        make(house, 2)
        await until_listed(house, house.table_id)
        first = _owner(house.dsn)
        settings = {**QUICK, "roles": ("sync",)}
        two = open_house(house.dsn, tmp_path, house.apis.upstreams, **settings)
        async with AsyncExitStack() as second:
            await second.enter_async_context(two)
            await asyncio.sleep(1.5)
            assert _owner(house.dsn) == first, "nothing is handed to and fro"
            execute(house.dsn, f"DELETE FROM httpproxy.process WHERE number = {first}")
            await until(lambda: _owner(house.dsn) not in (first, None), "taken over")
            make(house, 1)
            await until(lambda: agree(house), "the other goes on")
            second_owner = _owner(house.dsn)
        assert _owner(house.dsn) != second_owner, "nobody waits for a lease"
        await until(lambda: _owner(house.dsn) not in (second_owner, None), "handed back")
        make(house, 1)
        await until(lambda: agree(house), "and so does this one")

"""What fails is said in words, left alone a while, and stops nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from neighbours.house import House, add_sync, open_house

from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.problems import Rejected
from httpproxy.store.errors import Stale, Unavailable
from httpproxy.store.layouts.tables import Table
from httpproxy.store.sync.states import CollectionState
from httpproxy.sync.troubles import ELSEWHERE, UNKNOWN, Troubles, in_words
from providers.http import Response, headers
from providers.spec import ListingExpired, Refused

REFUSED = Refused(Response(403, headers(), b"", "Forbidden"), "MISSING_SCOPES", "Add a scope.")


class Desk:
    """A sync, its one table, and troubles on a clock that the test moves."""

    def __init__(self, house: House, live: Live, table: Table) -> None:
        self.live, self.table, self.now = live, table, 1000.0
        self.progress = house.service.office.progress
        self.troubles = Troubles(self.progress, lambda: self.now)

    async def fail(self, error: Exception, job: str = "list") -> float | None:
        """One try of a job that fails; how long it is left alone."""
        async with self.troubles.noting(self.live, job, (self.table,)) as attempt:
            raise error
        return attempt.pause

    async def succeed(self, job: str = "list") -> None:
        async with self.troubles.noting(self.live, job, (self.table,)):
            pass

    async def state(self) -> CollectionState:
        (state,) = await self.progress.states(self.live.sync.id)
        return state


@asynccontextmanager
async def desk(dsn: str, folder: Path) -> AsyncIterator[Desk]:
    async with open_house(dsn, folder, "http://127.0.0.1:9") as house:
        sync = await add_sync(house, "airtable")
        await house.service.directory.refresh()
        live = house.service.directory.known(sync.unique_id)
        assert live is not None
        tables = await house.service.office.registry.tables(sync)
        (table,) = tables.tables.values()
        yield Desk(house, live, table)


async def test_a_refusal_is_noted_in_the_words_of_the_api_with_the_remedy(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        await at.fail(REFUSED)
        trouble = (await at.state()).trouble
        assert trouble is not None
        assert (trouble.error, trouble.remedy) == ("403 MISSING_SCOPES", "Add a scope.")


async def test_a_table_that_followed_its_collection_meanwhile_is_no_trouble(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        assert await at.fail(Stale("it has another layout now"), "verify") == ELSEWHERE
        assert (await at.state()).trouble is None


async def test_what_fails_again_is_left_alone_for_longer(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        pauses = [await at.fail(REFUSED) for _ in range(3)]
        assert pauses == [2.0, 4.0, 8.0]
        assert at.troubles.resting(at.live, "list").collections == (at.table.collection.id,)
        assert at.troubles.resting(at.live, "reread").collections == ()
        at.now += 8.0
        assert at.troubles.resting(at.live, "list").collections == ()


async def test_what_works_again_is_noted_and_begins_without_a_past(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        await at.fail(REFUSED)
        await at.fail(REFUSED)
        await at.succeed()
        state = await at.state()
        assert state.trouble is None
        assert state.succeeded_at is not None
        assert await at.fail(REFUSED) == 2.0


async def test_what_another_job_still_fails_at_stays_wrong(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        await at.fail(REFUSED, "reread")
        await at.succeed("list")
        assert (await at.state()).trouble is not None
        at.now += 10.0  # nobody has tried again, and nobody knows it to fail any more
        await at.succeed("list")
        assert (await at.state()).trouble is None


async def test_what_is_refused_for_one_collection_is_noted_until_it_is_told_again(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        tables = (at.table,)
        async with at.troubles.noting(at.live, "listen", tables) as attempt:
            attempt.refused[at.table.collection.id] = REFUSED
        assert (await at.state()).trouble is not None
        await at.succeed("listen")
        assert (await at.state()).trouble is None


async def test_what_came_to_nothing_is_no_success(database_dsn: str, tmp_path: Path) -> None:
    async with desk(database_dsn, tmp_path) as at:
        async with at.troubles.noting(at.live, "list", (at.table,)) as attempt:
            attempt.finished = False
        assert (await at.state()).succeeded_at is None


async def test_what_was_put_right_is_not_left_alone(database_dsn: str, tmp_path: Path) -> None:
    async with desk(database_dsn, tmp_path) as at:
        await at.fail(REFUSED)
        assert at.troubles.left_alone(at.live, "list", at.table.collection.id) == 2.0
        assert at.troubles.forgive("another sync") == set()
        assert at.troubles.forgive(at.live.sync.id) == {"list"}
        assert at.troubles.left_alone(at.live, "list", at.table.collection.id) is None


async def test_a_listing_that_is_lost_again_and_again_is_a_trouble(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        expired, place = ListingExpired("the offset is gone"), at.table.collection.id
        assert await at.troubles.lost(at.live, "list", place, expired) == 2.0
        assert await at.troubles.lost(at.live, "list", place, expired) == 4.0
        assert (await at.state()).trouble is None, "it happens now and then"
        assert await at.troubles.lost(at.live, "list", place, expired) == 8.0
        trouble = (await at.state()).trouble
        assert trouble is not None
        assert trouble.error == "the offset is gone (3 times in a row)"
        await at.succeed()
        assert (await at.state()).trouble is None


async def test_waiting_long_for_a_permit_is_no_trouble(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        assert await at.fail(Rejected("permit_timeout", "no room")) == 2.0
        assert (await at.state()).trouble is None
        await at.fail(Rejected("upstream_failed", "the connection broke"))
        trouble = (await at.state()).trouble
        assert trouble is not None
        assert trouble.error == "the connection broke"


async def test_a_database_that_is_away_is_waited_for(database_dsn: str, tmp_path: Path) -> None:
    async with desk(database_dsn, tmp_path) as at:
        assert await at.fail(Unavailable("away")) == 2.0
        assert (await at.state()).trouble is None


async def test_what_should_not_happen_is_logged_whole_and_said_plainly(
    database_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        await at.fail(ZeroDivisionError("of the test"))
        trouble = (await at.state()).trouble
        assert trouble is not None
        assert trouble.error == UNKNOWN.error
        assert "ZeroDivisionError: of the test" in caplog.text


async def test_a_sync_that_is_gone_leaves_nothing_behind(
    database_dsn: str, tmp_path: Path
) -> None:
    async with desk(database_dsn, tmp_path) as at:
        await at.fail(REFUSED)
        at.troubles.forget(at.live.sync.id)
        assert at.troubles.resting(at.live, "list").collections == ()
        assert await at.fail(REFUSED) == 2.0


def test_words_for_what_has_no_remedy_of_its_own() -> None:
    assert in_words(ConnectionResetError("reset")).error == "reset"
    assert in_words(KeyError("x")) is UNKNOWN

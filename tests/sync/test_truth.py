"""Rows compared with the API: on demand, and all the time by the meter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from neighbours.airtable_house import API, AirtableHouse, open_airtable

from httpproxy.exchange.directory.syncs import Live
from httpproxy.office import make_reading
from httpproxy.store.commits.bulk import Loader
from httpproxy.sync.troubles import Troubles
from httpproxy.sync.truth import Meter, Truth

MEMBERS = 5


@dataclass(frozen=True)
class Scene:
    house: AirtableHouse
    live: Live
    truth: Truth
    ids: list[str]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A call of somebody who does not go through the proxy."""
        target = f"/v0/{self.house.sync.account}/{self.house.table_id}{path}"
        return self.house.apis.ask(API, self.house.token, method, target, body)

    def tamper(self, statement: str, *values: Any) -> None:
        """Somebody's hand in the table."""
        table = f'"{self.house.schema}"."{self.house.table_name}"'
        with psycopg.connect(self.house.dsn, autocommit=True) as connection:
            connection.execute(statement.format(table=table).encode(), values)

    def meter(self) -> Meter:
        office = self.house.house.service.office
        return Meter(
            self.truth, office.progress, Troubles(office.progress, lambda: 0.0),
            sample=MEMBERS, interval=60.0, suspicion=2.0, pick=lambda tables: tables[0],
        )  # fmt: skip


@asynccontextmanager
async def scene(dsn: str, folder: Path) -> AsyncIterator[Scene]:
    """Five records in a base, and their rows, made by a verification that repairs."""
    async with open_airtable(dsn, folder) as house:
        service = house.house.service
        await service.directory.refresh()
        live = service.directory.known(house.sync.unique_id)
        assert live is not None
        async with Loader(house.dsn, service.committer) as loader:
            reading = make_reading(service.office, service.committer, loader)
            truth = Truth(reading, service.office.comparing, service.office.registry)
            here = Scene(house, live, truth, [])
            records = [{"fields": {"Name": f"n{n}"}} for n in range(MEMBERS)]
            made = here.ask("POST", "", {"records": records})
            here.ids.extend(record["id"] for record in made["records"])
            (found,) = await truth.verify(live, None, sample=None, repair=True)
            assert sorted(found.absent) == sorted(here.ids)
            assert found.repaired == MEMBERS
            yield here


async def test_rows_that_say_what_the_api_says_are_the_same(
    database_dsn: str, tmp_path: Path
) -> None:
    async with scene(database_dsn, tmp_path) as at:
        (found,) = await at.truth.verify(at.live, None, sample=50, repair=False)
        assert (found.checked, found.same, found.wrong) == (MEMBERS, MEMBERS, ())


async def test_a_row_that_was_changed_by_hand_is_found_and_put_right(
    database_dsn: str, tmp_path: Path
) -> None:
    async with scene(database_dsn, tmp_path) as at:
        at.tamper("UPDATE {table} SET name = 'forged' WHERE id = %s", at.ids[2])
        (found,) = await at.truth.verify(at.live, None, sample=50, repair=False)
        assert found.drifted == (at.ids[2],)
        assert at.house.rows()[at.ids[2]]["name"] == "forged", "nobody asked for a repair"
        (found,) = await at.truth.verify(at.live, None, sample=50, repair=True)
        assert found.repaired == 1
        assert at.house.rows()[at.ids[2]]["name"] == "n2"


async def test_all_finds_rows_that_are_absent_and_rows_of_records_that_are_gone(
    database_dsn: str, tmp_path: Path
) -> None:
    async with scene(database_dsn, tmp_path) as at:
        at.tamper("DELETE FROM {table} WHERE id = %s", at.ids[0])
        at.ask("DELETE", f"/{at.ids[1]}")
        (found,) = await at.truth.verify(at.live, None, sample=None, repair=True)
        assert found.absent == (at.ids[0],)
        assert found.drifted == (at.ids[1],)
        assert at.house.rows().keys() == {*at.ids} - {at.ids[1]}


async def test_the_meter_counts_as_drift_what_differs_twice_and_repairs_it(
    database_dsn: str, tmp_path: Path
) -> None:
    async with scene(database_dsn, tmp_path) as at:
        progress, meter = at.house.house.service.office.progress, at.meter()
        at.tamper("UPDATE {table} SET name = 'forged' WHERE id = %s", at.ids[3])
        assert await meter.look(at.live) == meter.suspicion
        (state,) = await progress.states(at.live.sync.id)
        assert (state.truth.checked, state.truth.drifted) == (MEMBERS - 1, 0)
        assert at.house.rows()[at.ids[3]]["name"] == "forged"
        assert await meter.look(at.live) == meter.interval
        (state,) = await progress.states(at.live.sync.id)
        assert (state.truth.checked, state.truth.drifted) == (MEMBERS, 1)
        assert at.house.rows()[at.ids[3]]["name"] == "n3"


async def test_what_the_sync_had_only_not_heard_of_yet_is_no_drift(
    database_dsn: str, tmp_path: Path
) -> None:
    async with scene(database_dsn, tmp_path) as at:
        progress, meter = at.house.house.service.office.progress, at.meter()
        at.ask("PATCH", f"/{at.ids[4]}", {"fields": {"Name": "edited"}})
        assert await meter.look(at.live) == meter.suspicion
        await at.truth.verify(at.live, None, sample=50, repair=True)  # the feed's part
        await meter.look(at.live)
        (state,) = await progress.states(at.live.sync.id)
        assert (state.truth.checked, state.truth.drifted) == (MEMBERS, 0)

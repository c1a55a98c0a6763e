"""What this process commits is told at once: nobody waits for the next look."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from listening import listen
from neighbours.airtable_house import open_airtable
from neighbours.keyring import new_key

from httpproxy.streams import tail


async def test_a_write_through_the_gateway_is_told_at_once(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tail, "POLL_SECONDS", 3600.0)
    async with open_airtable(database_dsn, tmp_path, roles=("gateway", "api")) as airtable:
        url, key = airtable.house.service.api_url, await new_key(airtable.house, "read")
        assert url is not None
        feed = airtable.house.service.house.streams.event_feed
        async with (
            listen(url, "/v1/events", key) as events,
            listen(url, "/v1/records", key) as records,
        ):
            async with asyncio.timeout(60):
                while feed.ring.until is None:  # noqa: ASYNC110 - the first look is taken
                    await asyncio.sleep(0.01)
            for name in "abc":
                made = await asyncio.to_thread(airtable.table().create, {"Name": name})
                (event,) = await events.take(1, 60)
                (record,) = await records.take(1, 60)
                assert event.data["upstream_id"] == record.data["upstream_id"] == made["id"]

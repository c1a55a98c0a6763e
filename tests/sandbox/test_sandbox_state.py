"""What a sandbox keeps over a restart, and what it does with a file it cannot read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from sandboxed import sandbox

from httpproxy.sandbox.simulators import BadState, Simulators
from providers.airtable.provider import AIRTABLE


def _kept(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_records_and_switches_are_there_after_a_restart(tmp_path: Path):
    async with sandbox(tmp_path) as box:
        await box.create("kept")
        await box.control("POST", "switches", {"airtable": {"missing_status": 404}})
    async with sandbox(tmp_path) as box:
        assert "kept" in await box.names()
        switches = await box.control("GET", "switches")
    assert switches["airtable"]["missing_status"] == 404


async def test_a_change_is_saved_shortly_after_it_not_only_at_the_end(tmp_path: Path):
    file = tmp_path / "airtable.json"
    async with sandbox(tmp_path) as box:
        await box.create("soon on disk")
        async with asyncio.timeout(60):
            while not (file.exists() and b"soon on disk" in file.read_bytes()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert _kept(tmp_path) == ["airtable.json"]


async def test_without_a_folder_nothing_is_kept(tmp_path: Path):
    async with sandbox() as box:
        await box.create("forgotten")
    async with sandbox() as box:
        assert "forgotten" not in await box.names()
    assert _kept(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"format": 99, "switches": {}, "state": {}}',
        b'{"format": 1, "switches": {"no_such": 1}, "state": {}}',
        b'{"format": 1, "switches": {}, "state": 7}',
        b'{"format": 1, "switches": {}}',
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_remedy(tmp_path: Path, content: bytes):
    file = tmp_path / "airtable.json"
    file.write_bytes(content)
    with pytest.raises(BadState, match=r"airtable\.json.*remove it"):
        Simulators([AIRTABLE], tmp_path)
    assert file.read_bytes() == content


def test_a_state_survives_being_written_as_json():
    simulators = Simulators([AIRTABLE])
    state = simulators.dump()
    simulators.load(orjson.loads(orjson.dumps(state)))
    assert simulators.dump() == state

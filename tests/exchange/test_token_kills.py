"""Processes that refresh one credential, and one that is killed before it has stored what the
API gave."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from hashlib import sha256
from pathlib import Path

import pytest
from granted import Granted, granted

from httpproxy.exchange.tokens.refreshing import CredentialTrouble

PROGRAM = Path(__file__).with_name("refreshing_process.py")


async def start(world: Granted, lease_seconds: float) -> Process:
    """A process that takes the credential's token."""
    settings = {
        "database_url": world.dsn,
        "data_dir": str(world.folder),
        "upstreams": dict(world.apis.upstreams),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), world.id, str(lease_seconds)),
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    await process.stdin.drain()
    return process


async def killed_before_the_commit(world: Granted) -> None:
    """A process is killed -9 once the API has carried out its refresh."""
    answer = world.hold()
    await world.store(expires_in=0.5, refresh_in=None)
    process = await start(world, lease_seconds=1.0)
    await answer.reached()
    process.kill()
    answer.let_go()
    await process.wait()
    assert world.row()["generation"] == 1


@pytest.mark.parametrize("provider", ["airtable", "hubspot"])
async def test_three_processes_refresh_once(database_dsn: str, tmp_path: Path, provider: str):
    async with granted(database_dsn, tmp_path, provider) as world:
        await world.fault("delay_after", seconds=1.0, count=1)
        await world.store(expires_in=0.5, refresh_in=None)
        processes = [await start(world, 30.0) for _ in range(3)]
        told = {(await process.communicate())[0].decode().strip() for process in processes}
        token = await world.tokens.current(world.id)
        assert told == {sha256(token.encode()).hexdigest()}
        assert await world.refreshed() == 1


async def test_where_refresh_tokens_stay_a_kill_loses_nothing(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        await killed_before_the_commit(world)
        token = await world.tokens.current(world.id)  # once the dead one's lease has run out
        assert token != world.first_token
        assert world.row()["trouble"] is None


async def test_where_they_are_used_once_a_kill_is_said_in_words(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        await killed_before_the_commit(world)
        with pytest.raises(CredentialTrouble) as caught:
            await world.tokens.current(world.id)
        assert caught.value.code == "credential_unusable"
        trouble = world.row()["trouble"]
        assert "ended before it could store the answer" in trouble
        assert "authorise the app again" in trouble
        assert trouble in caught.value.detail

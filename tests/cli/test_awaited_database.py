"""`httpproxy serve` beside a database that is not there when it starts."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from urllib.parse import urlsplit

from cli.programs import Programs
from neighbours.cable import Cable

WAITS = r"waiting for the database, for \d+ seconds at most: .*\n"


async def test_a_service_begins_once_its_database_does(
    database_dsn: str, tmp_path: Path
) -> None:
    at = urlsplit(database_dsn)
    assert at.port is not None
    async with Cable(str(at.hostname), at.port) as cable:
        cable.cut()
        through = database_dsn.replace(f":{at.port}/", f":{cable.port}/")
        programs = Programs(tmp_path, {"DATABASE_URL": through, "HTTPPROXY_GATEWAY_PORT": "0"})
        with programs.started("serve", HTTPPROXY_DATABASE_WAIT="3600") as serving:
            said = await asyncio.to_thread(serving.wait_for, WAITS)
            assert str(at.password) not in said[0]
            cable.mend()
            await asyncio.to_thread(serving.wait_for, "gateway on http")
            assert await asyncio.to_thread(serving.stop) == 0


def test_one_that_waits_ends_when_it_is_told_to_and_when_its_time_is_over(
    tmp_path: Path,
) -> None:
    nobody = {"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d"}
    programs = Programs(tmp_path, nobody)
    with programs.started("serve", HTTPPROXY_DATABASE_WAIT="3600") as serving:
        serving.wait_for(WAITS)
        assert serving.stop(signal.SIGTERM) == 0
    ended = programs.run("serve", HTTPPROXY_DATABASE_WAIT="0.1")
    assert (ended.code, "Check DATABASE_URL" in ended.err) == (1, True)
    assert "hunter2" not in ended.err


def test_a_database_that_there_is_not_is_told_at_once(
    database_dsn: str, tmp_path: Path
) -> None:
    unknown = f"{database_dsn.rpartition('/')[0]}/nowhere"
    programs = Programs(tmp_path, {"DATABASE_URL": unknown})
    ended = programs.run("serve", "--workers", "2", HTTPPROXY_DATABASE_WAIT="3600")
    assert (ended.code, 'database "nowhere" does not exist' in ended.err) == (1, True)

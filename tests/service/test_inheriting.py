"""Two processes on one data folder: who serves takes the database over."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from httpproxy.office import open_office
from httpproxy.service import open_service
from httpproxy.settings.reading import Settings


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own folder: the server's user must be able to reach it under root.
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_serving_process_outlives_the_command_that_started_its_database(folder):
    settings = Settings(data_dir=folder, gateway_port=0)
    command = open_office(settings)
    starter = await command.__aenter__()
    async with open_service(settings) as service:
        assert service.office.dsn == starter.dsn
        assert not service.office.embedded.owned
        await command.__aexit__(None, None, None)
        async with asyncio.timeout(60):
            while not service.office.embedded.owned:  # noqa: ASYNC110 - a thread's doing
                await asyncio.sleep(0.1)
        assert await service.office.registry.syncs() == []

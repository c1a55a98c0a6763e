"""A site per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ascode.site import Site, open_site


@pytest.fixture
async def site(database_dsn: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(database_dsn, tmp_path) as opened:
        yield opened

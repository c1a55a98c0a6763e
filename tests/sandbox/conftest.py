"""A fresh sandbox in memory for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sandboxed import Sandbox, sandbox


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with sandbox() as running:
        yield running

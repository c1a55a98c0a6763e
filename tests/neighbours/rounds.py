"""Waiting for what others do; and times that a machine which stands still for a moment may
spoil, measured in rounds.

What the code waits for, it waits for in every round; what the machine adds, it adds to some.
So a bound on time holds if one round keeps to it, and is broken if none does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

ROUNDS: Final = 8


async def least(measured: Callable[[], Awaitable[float]], below: float) -> float:
    """The shortest of up to ROUNDS measurements, in seconds; one below the bound ends them."""
    shortest = float("inf")
    for _ in range(ROUNDS):
        shortest = min(shortest, await measured())
        if shortest < below:
            break
    return shortest


async def least_time(work: Callable[[], Awaitable[object]], below: float) -> float:
    """How long `work` takes, in the shortest of up to ROUNDS rounds."""

    async def timed() -> float:
        began = time.monotonic()
        await work()
        return time.monotonic() - began

    return await least(timed, below)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Waits, a minute at most, until what others do has come about."""
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - those others tell nobody
            await asyncio.sleep(0.02)

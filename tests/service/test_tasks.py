"""The service's own tasks: one that fails is loud, one that waits delays nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from httpproxy.tasks import Tasks


async def test_what_waits_is_cancelled_at_the_end():
    began = time.monotonic()
    async with Tasks() as tasks:
        tasks.start(asyncio.sleep(600), "waiting")
        await asyncio.sleep(0)
    assert time.monotonic() - began < 60


async def test_a_task_that_fails_ends_the_service():
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.RaisesGroup(LookupError):
        async with Tasks() as tasks:
            tasks.start(fail(), "failing")
            await asyncio.sleep(60)


async def test_a_cancellation_that_gets_lost_is_said_again():
    lost: list[str] = []

    async def hard_of_hearing() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:  # as a driver may, in a connection that breaks
            lost.append("the first")
        await asyncio.sleep(600)

    began = time.monotonic()
    async with Tasks() as tasks:
        tasks.start(hard_of_hearing(), "hard of hearing")
        await asyncio.sleep(0)
    assert lost == ["the first"]
    assert time.monotonic() - began < 60

"""The deadlines of many calls on one timer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from httpproxy.upstream import deadlines as module
from httpproxy.upstream.deadlines import Deadlines


async def held(deadlines: Deadlines, seconds: float) -> str:
    deadline = deadlines.start()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if deadlines.ours(deadline):
            return "time"
        raise
    finally:
        deadlines.end(deadline)
    return "done"


async def test_only_what_is_over_time_is_ended():
    deadlines = Deadlines(0.1)
    outcomes = await asyncio.gather(*(held(deadlines, s) for s in (0, 5, 0, 5)))
    assert outcomes == ["done", "time", "done", "time"]


async def test_a_task_goes_on_after_its_deadline_as_if_nothing_had_been_cancelled():
    deadlines = Deadlines(0.02)
    assert await held(deadlines, 5) == "time"
    assert asyncio.current_task().cancelling() == 0
    assert await held(deadlines, 0) == "done"


async def test_a_cancellation_at_the_very_moment_of_the_deadline_is_not_lost():
    deadlines = Deadlines(0.05)
    task = asyncio.ensure_future(held(deadlines, 5))
    await asyncio.sleep(0)
    (deadline,) = deadlines._running
    deadline.at = 0
    deadlines._ring()  # the deadline's cancellation, and in the same turn somebody's
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_earlier_cancellation_that_the_task_survived_does_not_count():
    deadlines = Deadlines(0.02)

    async def survivor() -> str:
        with suppress(asyncio.CancelledError):  # and does not take it back
            await asyncio.sleep(5)
        return await held(deadlines, 5)

    task = asyncio.ensure_future(survivor())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "time"


async def test_the_timer_rests_when_there_is_nothing_to_watch(monkeypatch):
    monkeypatch.setattr(module, "TICK", 0.01)
    deadlines = Deadlines(60)
    assert await held(deadlines, 0.05) == "done"
    await asyncio.sleep(0.05)
    assert deadlines._alarm is None
    assert await held(deadlines, 0) == "done"
    deadlines.close()

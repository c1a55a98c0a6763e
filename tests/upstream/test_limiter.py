"""Permits on the event loop: real waiting, real cancellation."""

from __future__ import annotations

import asyncio
import sys
import time
import tracemalloc

import pytest
import uvloop
from aiolimiter import AsyncLimiter
from neighbours.rounds import least

from httpproxy.exchange.pacing import Pace
from httpproxy.upstream.errors import WaitExpired
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Key, Limiter
from providers.spec import Budget

KEY: Key = ("airtable", "appX", "standard")
FOREVER = float("inf")


@pytest.fixture
async def limiter():
    limiter = Limiter()
    yield limiter
    limiter.close()


def one_per(interval: float) -> Budget:
    return Budget("standard", 1, interval)


def most_in_a_window(moments: list[float], interval: float) -> int:
    return max(sum(a <= b < a + interval for b in moments) for a in moments)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_free_permit_is_had_without_giving_up_the_turn(limiter):
    limiter.lane(KEY, one_per(60))
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    with await limiter.acquire(KEY, Priority.WRITE, 0):
        assert turns == []
    assert limiter.total.grants[Priority.WRITE] == 1
    assert limiter.total.waits[Priority.WRITE] == 0


async def test_a_waiter_goes_as_soon_as_its_permit_is_due(limiter):
    limiter.lane(KEY, one_per(0.1))

    async def second() -> float:
        (await limiter.acquire(KEY, Priority.WRITE, 60)).release()
        began, waits = time.monotonic(), limiter.total.waits[Priority.WRITE]
        with await limiter.acquire(KEY, Priority.WRITE, 60):
            waited = time.monotonic() - began
        if limiter.total.waits[Priority.WRITE] > waits:  # the machine did not stand still
            assert waited >= 0.095
        return waited

    assert await least(second, 0.3) < 0.3
    assert limiter.total.waits[Priority.WRITE] >= 1
    assert limiter.total.waited[Priority.WRITE] >= 0.095


async def test_the_api_sees_no_fuller_window_than_the_budget_where_aiolimiter_doubles_it(
    limiter,
):
    async def moments(enter) -> list[float]:
        seen: list[float] = []

        async def call() -> None:
            async with asyncio.timeout(60):
                leave = await enter()
            seen.append(time.monotonic())
            leave()

        await asyncio.gather(*(call() for _ in range(30)))
        return seen

    bucket = AsyncLimiter(10, 0.5)

    async def enter_bucket():
        await bucket.acquire()
        return lambda: None

    limiter.lane(KEY, Budget("standard", 10, 0.5))

    async def enter_lane():
        return (await limiter.acquire(KEY, Priority.WRITE, FOREVER)).release

    theirs, ours = await asyncio.gather(moments(enter_bucket), moments(enter_lane))
    assert most_in_a_window(theirs, 0.5) >= 17
    assert most_in_a_window(ours, 0.5) == 10


async def test_a_write_passes_the_backfill_where_aiolimiter_serves_in_order_of_arrival(limiter):
    served: list[str] = []
    bucket = AsyncLimiter(1, 0.02)
    limiter.lane(KEY, one_per(0.02))
    running = await limiter.acquire(KEY, Priority.WRITE, 1)  # until all of them wait
    await bucket.acquire()

    async def theirs(name: str) -> None:
        await bucket.acquire()
        served.append(f"theirs {name}")

    async def ours(name: str, priority: Priority) -> None:
        with await limiter.acquire(KEY, priority, FOREVER):
            served.append(f"ours {name}")

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(theirs(f"backfill {number}"))
            group.create_task(ours(f"backfill {number}", Priority.BACKFILL))
        await settled()
        group.create_task(theirs("write"))
        group.create_task(ours("write", Priority.WRITE))
        await settled()
        running.release()
    assert next(s for s in served if s.startswith("ours")) == "ours write"
    assert [s for s in served if s.startswith("theirs")][-1] == "theirs write"


async def test_waiting_is_bounded_and_the_refusal_says_how_long_it_would_take(limiter):
    limiter.lane(KEY, one_per(30))
    held = await limiter.acquire(KEY, Priority.WRITE, 0)
    waiting = asyncio.ensure_future(limiter.acquire(KEY, Priority.WRITE, 0.05))
    with pytest.raises(WaitExpired) as caught:
        await waiting
    assert caught.value.sent == "no"
    assert caught.value.timed_out
    assert caught.value.expected_wait == pytest.approx(30, abs=0.5)
    assert limiter.total.expired[Priority.WRITE] == 1
    held.release()


async def test_a_wait_that_is_certain_to_be_in_vain_is_refused_at_once():
    limiter = Limiter(clock=lambda: 1000.0)
    limiter.lane(KEY, one_per(0.1))
    limiter.pause(KEY, 30)
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    with pytest.raises(WaitExpired) as caught:
        await limiter.acquire(KEY, Priority.WRITE, 10)
    assert turns == []
    assert caught.value.expected_wait == pytest.approx(30)
    (state,) = limiter.states()
    assert state.paused == pytest.approx(30)
    limiter.close()


async def test_a_pause_holds_those_who_wait_already_and_then_lets_them_go(limiter):
    limiter.lane(KEY, one_per(0.01))
    running = await limiter.acquire(KEY, Priority.WRITE, 1)
    waiting = asyncio.ensure_future(limiter.acquire(KEY, Priority.WRITE, 60))
    await settled()
    start = time.monotonic()
    limiter.pause(KEY, 0.15)
    limiter.pause(KEY, 0.01)
    running.release()
    await waiting
    assert time.monotonic() - start >= 0.15


@pytest.mark.parametrize("end", ["release", "withdraw"])
async def test_a_permit_comes_back_once_however_often_it_is_given_back(limiter, end):
    limiter.lane(KEY, Budget("standard", 3, 60))
    first = await limiter.acquire(KEY, Priority.WRITE, 0)
    await limiter.acquire(KEY, Priority.WRITE, 0)
    for give_back in (end, end, "release", "withdraw"):
        getattr(first, give_back)()
    (state,) = limiter.states()
    assert state.running == 1
    for _ in range(1 if end == "release" else 2):
        await limiter.acquire(KEY, Priority.WRITE, 0)
    with pytest.raises(WaitExpired):
        await limiter.acquire(KEY, Priority.WRITE, 0)


async def test_the_end_of_a_call_wakes_who_waits_for_a_place_under_the_cap(limiter):
    limiter.lane(KEY, Budget("standard", 100, 600, max_concurrent_requests=1))
    running = await limiter.acquire(KEY, Priority.READ, 0)
    waiting = asyncio.ensure_future(limiter.acquire(KEY, Priority.READ, FOREVER))
    await settled()
    assert not waiting.done()
    running.release()
    await asyncio.wait_for(waiting, 30)
    assert limiter.total.grants[Priority.READ] == 2


@pytest.mark.parametrize("after_grant", [False, True])
async def test_a_waiter_cancelled_at_any_moment_leaks_no_permit(limiter, after_grant):
    limiter.lane(KEY, one_per(600))
    running = await limiter.acquire(KEY, Priority.WRITE, 0)
    doomed = asyncio.ensure_future(limiter.acquire(KEY, Priority.WRITE, FOREVER))
    other = asyncio.ensure_future(limiter.acquire(KEY, Priority.BACKFILL, FOREVER))
    await settled()
    if after_grant:
        running.withdraw()  # grants to `doomed`, whose coroutine has not run yet
        doomed.cancel()
    else:
        doomed.cancel()
        running.withdraw()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    permit = await asyncio.wait_for(other, 30)
    permit.withdraw()
    (state,) = limiter.states()
    assert state.running == 0
    assert sum(state.waiting.values()) == 0


async def test_a_cancelled_waiter_leaves_its_place_at_once(limiter):
    limiter.lane(KEY, one_per(60))
    await limiter.acquire(KEY, Priority.WRITE, 0)
    doomed = asyncio.ensure_future(limiter.acquire(KEY, Priority.WRITE, FOREVER))
    await settled()
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    (state,) = limiter.states()
    assert sum(state.waiting.values()) == 0


async def test_an_expired_waiter_leaves_its_place(limiter):
    limiter.lane(KEY, one_per(60))
    running = await limiter.acquire(KEY, Priority.WRITE, 0)
    with pytest.raises(WaitExpired):
        await limiter.acquire(KEY, Priority.WRITE, 0.02)
    running.withdraw()
    (state,) = limiter.states()
    assert (state.running, sum(state.waiting.values())) == (0, 0)


async def test_two_syncs_on_one_account_share_one_lane_at_the_smaller_rate(limiter):
    limiter.lane(KEY, Budget("standard", 5, 60), "sync_a")
    limiter.lane(KEY, Budget("standard", 2, 60), "sync_b")
    for _ in range(2):
        await limiter.acquire(KEY, Priority.WRITE, 0)
    with pytest.raises(WaitExpired):
        await limiter.acquire(KEY, Priority.WRITE, 0)


async def test_a_rate_changes_at_once_and_with_the_syncs_that_come_and_go(limiter):
    limiter.lane(KEY, Budget("standard", 1, 600), "sync_a")
    limiter.lane(KEY, Budget("standard", 2, 600), "sync_b")
    await limiter.acquire(KEY, Priority.WRITE, 0)
    waiting = asyncio.ensure_future(limiter.acquire(KEY, Priority.WRITE, FOREVER))
    await settled()
    assert not waiting.done()
    limiter.forget(KEY, "sync_a")
    await asyncio.wait_for(waiting, 30)
    limiter.lane(KEY, Budget("standard", 3, 600), "sync_b")
    await limiter.acquire(KEY, Priority.WRITE, 0)
    (state,) = limiter.states()
    assert (state.running, state.budget.allowed_requests) == (3, 3)


async def test_accounts_do_not_wait_for_each_other(limiter):
    other: Key = ("airtable", "appY", "standard")
    limiter.lane(KEY, one_per(60))
    limiter.lane(other, one_per(60))
    await limiter.acquire(KEY, Priority.WRITE, 0)
    assert await limiter.acquire(other, Priority.WRITE, 0)


async def test_a_lane_without_a_budget_is_a_mistake_that_is_named(limiter):
    with pytest.raises(LookupError, match="appX"):
        await limiter.acquire(KEY, Priority.WRITE, 0)


async def test_ten_thousand_idle_lanes_cost_half_a_kilobyte_each_and_used_ones_go_again():
    now = [0.0]
    limiter = Limiter(clock=lambda: now[0])
    budget = Budget("standard", 5, 1.0)
    keys = [("airtable", f"app{n:014}", "standard") for n in range(10_000)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number, key in enumerate(keys):
        limiter.lane(key, budget, f"sync_{number:020}")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(keys) < 512
    for key in keys[:100]:
        (await limiter.acquire(key, Priority.WRITE, 0)).release()
    assert len(list(limiter.states())) == 100
    now[0] = 2.0
    limiter.sweep()
    assert list(limiter.states()) == []
    limiter.close()


async def test_a_lane_in_use_survives_the_sweep(limiter):
    limiter.lane(KEY, one_per(60))
    permit = await limiter.acquire(KEY, Priority.WRITE, 0)
    limiter.sweep()
    permit.release()
    limiter.sweep()
    with pytest.raises(WaitExpired):
        await limiter.acquire(KEY, Priority.WRITE, 0)


async def test_many_waiters_share_one_alarm(limiter):
    limiter.lane(KEY, Budget("standard", 200, 0.05))
    served = 0

    async def call() -> None:
        nonlocal served
        with await limiter.acquire(KEY, Priority.BACKFILL, FOREVER):
            served += 1

    await asyncio.gather(*(call() for _ in range(1000)))
    assert served == 1000
    assert limiter.total.grants[Priority.BACKFILL] == 1000


def test_windows_are_strict_on_uvloop_too_whose_clock_stands_still_within_a_turn():
    async def run() -> list[float]:
        limiter = Limiter()
        limiter.lane(KEY, Budget("standard", 5, 0.1))
        seen: list[float] = []

        async def call() -> None:
            with await limiter.acquire(KEY, Priority.READ, FOREVER):
                time.sleep(0.004)  # noqa: ASYNC251  a busy turn of the loop
                seen.append(time.monotonic())

        await asyncio.gather(*(call() for _ in range(25)))
        limiter.close()
        return seen

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seen = runner.run(run())
    assert len(seen) == 25
    assert most_in_a_window(seen, 0.1) == 5


async def test_housekeeping_is_paced_per_key_without_ever_waiting():
    pace, turns = Pace(2, 600), []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    assert [await pace.allows("sync_a") for _ in range(4)] == [True, True, False, False]
    assert await pace.allows("sync_b")
    assert turns == []


async def test_housekeeping_may_run_again_after_its_time():
    pace = Pace(1, 0.05)
    began = time.monotonic()
    assert await pace.allows("sync_a")
    if await pace.allows("sync_a"):
        assert time.monotonic() - began >= 0.05
    await asyncio.sleep(0.06)
    assert await pace.allows("sync_a")


async def test_made_up_keys_cannot_fill_the_memory_of_the_pace():
    pace = Pace(1, 60, max_keys=100)
    for number in range(1000):
        assert await pace.allows(number)
    assert len(pace) == 100
    assert not await pace.allows(999)
    assert sys.getsizeof(pace) < 200

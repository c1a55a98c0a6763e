"""One rate limit for the sync and the proxied writes, counted where the API counts it.

The lane's own promises are tests of `tests/pure/test_lane`; these go through all of it:
gateway, permits, conversations and an API that notes when calls arrive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from one_account import busiest_window, open_account, reading, until

from httpproxy.exchange.directory.allotment import permit_for
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Key, Limiter, Permit

SYNC = [priority for priority in Priority if priority is not Priority.WRITE]


async def test_under_constant_writes_the_sync_advances_and_after_them_it_has_everything(
    database_dsn: str, tmp_path: Path
):
    requests, interval = 20, 1.0
    async with open_account(database_dsn, tmp_path, requests, interval) as account:
        calls, live = account.calls, account.live
        async with asyncio.TaskGroup() as group:
            jobs = [
                group.create_task(calls.converse(live, reading(100), Priority.BACKFILL))
                for _ in range(30)
            ]
            enough = asyncio.Event()
            writers = [group.create_task(account.keep_writing(enough)) for _ in range(30)]
            await asyncio.sleep(3 * interval)
            await _until(lambda: len(account.arrivals("POST")) > 2 * requests)
            enough.set()
            stopping = time.monotonic()
            await asyncio.wait(writers)
            stopped = time.monotonic()
            # The slots of the last writes come back together, and the sync spreads its calls:
            # it has an even flow one interval later. From one call to the one that is two full
            # allotments later:
            even = 2 * interval / 0.9
            await _until(
                lambda: (
                    quickest(account.arrivals("GET"), stopped + interval, 2 * requests) <= even
                )
            )
            for job in jobs:
                job.cancel()
        everything = account.arrivals()
        reads, writes = account.arrivals("GET"), account.arrivals("POST")
        assert busiest_window(everything, interval) <= requests
        beside = [at for at in reads if at < stopping]
        assert len(writes) > 2 * requests
        # Its floor, and no more than that: writes go first. At the start the sync alone
        # was there and could take the lane's first slots.
        late = [at for at in beside if at > writes[0] + interval]
        total = [at for at in everything if writes[0] + interval < at < stopping]
        assert len(total) * 0.1 - 1 <= len(late) <= len(total) * 0.1 + 2


async def _until(holds: Callable[[], bool]) -> None:
    """Returns once it holds: in some stretch of time, whatever the machine did in others."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what comes to the API tells nobody
            await asyncio.sleep(0.1)


def quickest(moments: list[float], begin: float, calls: int) -> float:
    """The shortest time in which so many calls followed one, from `begin` on."""
    since = [at for at in moments if at >= begin]
    return min((b - a for a, b in zip(since, since[calls:], strict=False)), default=1e9)


class Order:
    """In which order a limiter's permits were handed out, and what passed each write.

    A sync's request that was let go before the write began to wait has not passed it,
    even if its task has not run yet: so the lane is asked, not the tasks.
    """

    def __init__(self, limiter: Limiter) -> None:
        self._limiter, self._acquire = limiter, limiter.acquire
        self._sync = 0
        self.joined = 0
        self.passed: list[int] = []

    async def acquire(self, key: Key, priority: Priority, patience: float) -> Permit:
        if priority is not Priority.WRITE:
            self.joined += 1
            permit = await self._acquire(key, priority, patience)
            self._sync += 1
            return permit
        before = self.joined - sync_waiters(self._limiter)
        permit = await self._acquire(key, priority, patience)
        self.passed.append(self._sync - before)
        return permit


def sync_waiters(limiter: Limiter) -> int:
    return sum(state.waiting[priority] for state in limiter.states() for priority in SYNC)


async def test_17000_queued_sync_requests_delay_a_write_by_at_most_one_permit(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with open_account(database_dsn, tmp_path, 1, 0.05) as account:
        live, limiter = account.live, account.limiter
        order = Order(limiter)
        monkeypatch.setattr(limiter, "acquire", order.acquire)

        async def job(priority: Priority) -> None:
            (await permit_for(live.allotment, "standard", priority, 600.0)).release()

        queue = [asyncio.ensure_future(job(SYNC[n % len(SYNC)])) for n in range(17_000)]
        await until(lambda: order.joined == 17_000)
        for _ in range(25):  # whatever the floor is owed at that moment
            assert (await account.write()).status == 200
        assert len(order.passed) == 25
        assert max(order.passed) <= 1
        for one in queue:
            one.cancel()
        await asyncio.gather(*queue, return_exceptions=True)
        (state,) = limiter.states()
        assert (state.running, sum(state.waiting.values())) == (0, 0)

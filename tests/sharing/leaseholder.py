"""One process of several on a limit, run as a program: calls an API as fast as it may.

    python leaseholder.py PORT REQUESTS INTERVAL CLASS=CALLERS …      (the DSN comes by stdin)

Each call is one connection to the port: it sends the process's mark and its class, and
ends when the answer has come. Says "ready", and every half second how many times it has
called the database.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from httpproxy.sharing.leasing import Leasing
from httpproxy.sharing.presence import Presence
from httpproxy.store.database import Database
from httpproxy.store.sharing.permits import Permits
from httpproxy.store.sharing.processes import Processes
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter
from providers.spec import Budget

KEY = ("airtable", "appX", "standard")


async def call(port: int, priority: Priority, trusted: Callable[[], bool]) -> str:
    """One call; what the API answered. As the gateway, it sends nothing after it stood still
    for so long that others may have its permit."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if not trusted():
            return "not sent"
        writer.write(f"{os.getpid()} {priority.name}\n".encode())
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()


async def keep_calling(
    limiter: Limiter, port: int, priority: Priority, trusted: Callable[[], bool]
) -> None:
    while True:
        with await limiter.acquire(KEY, priority, float("inf")):
            answer = await call(port, priority, trusted)
            if answer.startswith("pause"):
                limiter.pause(KEY, float(answer.split()[1]))


async def main(dsn: str, port: int, budget: Budget, callers: dict[str, int]) -> None:
    async with (
        Database(dsn, connections=2) as database,
        Presence(Processes(database), "test", []) as presence,
    ):
        limiter = Limiter()
        limiter.lane(KEY, budget)
        leasing = Leasing(Permits(database), limiter, presence)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(presence.keep())
            tasks.create_task(leasing.keep())
            for name, number in callers.items():
                for _ in range(number):
                    tasks.create_task(
                        keep_calling(limiter, port, Priority[name], leasing.trusted)
                    )
            print("ready", flush=True)
            while True:
                await asyncio.sleep(0.5)
                print(leasing.calls, flush=True)


if __name__ == "__main__":
    classes = {
        name: int(number) for name, _, number in (a.partition("=") for a in sys.argv[4:])
    }
    rate = Budget("standard", int(sys.argv[2]), float(sys.argv[3]))
    asyncio.run(main(sys.stdin.readline().strip(), int(sys.argv[1]), rate, classes))

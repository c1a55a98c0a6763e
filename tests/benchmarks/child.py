"""What the benchmark's own processes have in common: a loop, a first word, an end.

A child says `{"port": N}` on stdout when it is ready and ends when its stdin closes,
so that none outlives the run that started it, however that ends. Children that take
orders read one JSON line each and answer with one.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import uvloop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs `main` on uvloop; garbage collection is rare, as in any tuned server."""
    gc.set_threshold(50_000, 50, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def say(word: object) -> None:
    """One JSON line to the parent."""
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


async def _lines() -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield line.decode()


async def announce(port: int) -> None:
    """Says which port is served, and returns when the parent is gone."""
    say({"port": port})
    async for _ in _lines():
        pass


async def orders() -> AsyncIterator[dict[str, Any]]:
    """Says that it is ready, then yields the parent's orders until the parent is gone."""
    say({"port": 0})
    async for line in _lines():
        yield json.loads(line)

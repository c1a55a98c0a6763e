"""Runs a command's coroutine: the loop, the signals, and a clean end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import click

from httpproxy.settings.reading import Settings
from httpproxy.workers.child import say_ready, when_dismissed

T = TypeVar("T")

_COLLECT_AFTER: Final = 50_000  # containers made and not given back


def run(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, on uvloop where it is wanted and there."""
    with asyncio.Runner(loop_factory=_loop_factory(settings)) as runner:
        return runner.run(work)


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not settings.uvloop:
        return None
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def settle_memory() -> None:
    """Call when everything is open: from here on, memory is mostly that of calls.

    Calls leave next to nothing for the collector, and what is open stays. Collections
    are made rare and spared the latter, which saves about an eighth of a call's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


async def until_stopped(
    said: str = "stopping; again ends at once", stopped: asyncio.Event | None = None
) -> None:
    """Wait for Ctrl-C or SIGTERM, or for one that was heard already (`stop_event`). A second
    one is no longer caught."""
    await (stopped or stop_event()).wait()
    click.echo(f"\n{said}", err=True)


async def until_dismissed(parent: socket.socket, stopped: asyncio.Event) -> None:
    """Tell the parent that this worker serves; wait for its word, its end, or a signal."""
    when_dismissed(parent, stopped)
    say_ready(parent)
    await stopped.wait()


def stop_event() -> asyncio.Event:
    """Is set by the first Ctrl-C or SIGTERM from now on. A second one is not caught."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopped

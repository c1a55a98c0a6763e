"""`httpproxy sync watch`: how far the syncs are, as long as somebody looks.

On a terminal a picture that is redrawn in place (`screen`), else a line for each change
(`lines`). Both show what the database says; which process does the work, and on which
machine, does not matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import click
from rich.console import Console

from httpproxy.cli.desk import open_desk
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.running import run, stop_event
from httpproxy.cli.sync.watch.lines import Lines
from httpproxy.cli.sync.watch.screen import Screen
from httpproxy.cli.sync.watch.views import Lookout, View, settled
from httpproxy.office import wall_clock
from httpproxy.settings.reading import Settings
from httpproxy.store.errors import Unavailable


class _Display(Protocol):
    @property
    def interval(self) -> float: ...

    def show(self, views: Sequence[View], now: float) -> None: ...

    def say(self, text: str, now: float) -> None: ...


@click.command()
@click.argument("name", required=False)
@click.option("--once", is_flag=True, help="Print how it is now, and end.")
@click.option("--until-live", is_flag=True, help="End when every collection is live.")
@click.pass_obj
def watch(invocation: Invocation, name: str | None, once: bool, until_live: bool) -> None:
    """Show how far the syncs are, or the one of this NAME, until Ctrl-C.

    On a terminal it is redrawn in place; else every change is a line. It reads the
    database, so it may run anywhere; `httpproxy serve` does the work.

    \b
    Examples
      httpproxy sync watch
      httpproxy sync watch crm --until-live > backfill.log
    """
    settings = invocation.settings()
    run(settings, _watch(settings, name, once=once, until_live=until_live))


async def _watch(settings: Settings, name: str | None, *, once: bool, until_live: bool) -> None:
    # What it has to say of a database that is away, the display says, and once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    async with open_desk(settings) as desk:
        lookout, stopped = Lookout(desk, name), stop_event()
        with _display(once) as display:
            while not stopped.is_set():
                if await _shown(lookout, display, until_live=until_live) or once:
                    return
                await _pause(stopped, display.interval)


async def _shown(lookout: Lookout, display: _Display, *, until_live: bool) -> bool:
    """Shows how it is now. Returns whether that is all that was waited for."""
    now = wall_clock()
    try:
        views = await lookout.look(time.monotonic())
    except Unavailable as away:
        display.say(f"the database does not answer: {away}. Waiting for it", now)
        return False
    display.show(views, now)
    if not until_live or not settled(views):
        return False
    display.say("everything is live", now)
    return True


def _display(once: bool) -> AbstractContextManager[_Display]:
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal and not once:
        return Screen(console)
    return nullcontext(Lines(click.echo))


async def _pause(stopped: asyncio.Event, seconds: float) -> None:
    """Waits, unless it is told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopped.wait()
    except TimeoutError:
        return

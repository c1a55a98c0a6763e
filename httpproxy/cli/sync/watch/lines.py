"""Progress as lines, for logs and scripts: one for each collection and change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from httpproxy.cli.sync.watch.views import View
from httpproxy.cli.wording import doing, duration, rows, waiting
from httpproxy.sync.health import Health

LINES_SECONDS: Final = 2.0


class Lines:
    """Says what has changed since it was said last, a line for each collection."""

    interval = LINES_SECONDS

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._said: dict[tuple[str, str], tuple[object, ...]] = {}
        self._last = ""

    def show(self, views: Sequence[View], now: float) -> None:
        """`now`: seconds since the epoch."""
        if self._last:  # whoever reads on wants to know how everything is now
            self._last = ""
            self._said.clear()
        for view in views:
            for health in view.collections:
                place, news = (view.sync.id, health.id), _news(health)
                if self._said.get(place) != news:
                    self._said[place] = news
                    self._print(_line(view, health), now)

    def say(self, text: str, now: float) -> None:
        """A line that is about all of it; not again as long as nothing was shown."""
        if text != self._last:
            self._last = text
            self._print(text, now)

    def _print(self, text: str, now: float) -> None:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        self._write(f"{moment} {text}")


def _news(health: Health) -> tuple[object, ...]:
    """What is worth a line when it changes; lag and rows change all the time."""
    marked = bool(health.marks) or health.whole
    return health.phase, health.thorough, health.records, marked, health.error


def _line(view: View, health: Health) -> str:
    parts = [f"{view.sync.name}/{health.table}: {doing(health)}"]
    if health.under_way:
        speed = view.speeds.get(health.id)
        parts.append(f"{health.records:,} read" + (f", {speed:,.0f}/s" if speed else ""))
    parts.append(f"{rows(health.rows)} row{'' if health.rows == 1 else 's'}")
    if health.lag is not None and not health.under_way:
        parts.append(f"lag {duration(health.lag)}")
    if marks := waiting(health):
        parts.append(f"{marks} to be read again")
    if health.error:
        parts.append(" -> ".join(filter(None, (health.error, health.remedy))))
    return "; ".join(parts)

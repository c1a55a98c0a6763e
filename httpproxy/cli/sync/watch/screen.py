"""Progress as a picture on a terminal, redrawn in place: a bar for each collection."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from httpproxy.cli.sync.reports import wrongs
from httpproxy.cli.sync.watch.views import View
from httpproxy.cli.wording import doing, duration, rows, waiting
from httpproxy.sync.health import Health, Phase

REDRAWN_SECONDS: Final = 0.5
_WIDE: Final = 100  # columns, from which on there is room for a long bar
_BAR: Final = 24
_SHORT_BAR: Final = 8
_STYLES: Final = {
    Phase.LIVE: "green",
    Phase.BACKFILL: "cyan",
    Phase.SWEEP: "cyan",
    Phase.FAILING: "red",
    Phase.HELD: "yellow",
    Phase.PAUSED: "yellow",
}
_MARGIN: Final = 6  # lines that the screen keeps for head, end and the prompt


class Screen:
    """A picture of the syncs. Opened with `with`; the last one stays when it is left."""

    interval = REDRAWN_SECONDS

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._said = ""

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, views: Sequence[View], now: float) -> None:
        """Draw the views in place of what was there. `now`: seconds since the epoch."""
        self._said, size = "", self._console.size
        self._live.update(picture(views, now, size.width, size.height), refresh=True)

    def say(self, text: str, now: float) -> None:  # noqa: ARG002 - a line has a time, this not
        """A line that stays, above the picture; the same one only once."""
        if text != self._said:
            self._said = text
            self._console.print(Text(text))


def picture(views: Sequence[View], now: float, width: int, height: int) -> RenderableType:
    """The syncs as they fit on a screen; of too many collections, what is live is left out."""
    there = [(view, health) for view in views for health in view.collections]
    room = max(height - _MARGIN, 4)
    shown = sorted(there, key=lambda each: each[1].settled)[:room]  # sorted() keeps order
    table = _table(wide := width >= _WIDE)
    for view, health in sorted(shown, key=there.index):
        table.add_row(*_cells(view, health, wide))
    parts: list[RenderableType] = [table]
    if len(there) > len(shown):
        rest = len(there) - len(shown)
        parts.append(Text(f"and {rest} more, see `httpproxy sync list`", style="dim"))
    for view in views:
        lines = wrongs(view.collections, now)
        parts += [Text(line, style="" if line.startswith(" ") else "red") for line in lines]
    return Group(*parts)


def _table(wide: bool) -> Table:
    space = (0, 2 if wide else 1, 0, 0)
    table = Table(box=None, pad_edge=False, padding=space, header_style="dim")
    table.add_column("collection")  # alone gives way where the screen is too narrow
    table.add_column("phase", no_wrap=True)
    table.add_column("", no_wrap=True)
    for column in ("read", "rows/s", "rows", "lag"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("waiting", no_wrap=True)
    return table


def _cells(view: View, health: Health, wide: bool) -> tuple[RenderableType, ...]:
    speed = view.speeds.get(health.id)
    name = f"{view.sync.name}/{health.table}"
    return (
        Text(name, no_wrap=True, overflow="ellipsis"),
        Text(doing(health), style=_STYLES.get(health.phase, "")),
        _bar(health, _BAR if wide else _SHORT_BAR),
        Text(f"{health.records:,}" if health.under_way else ""),
        Text("" if speed is None else f"{speed:,.0f}"),
        Text(rows(health.rows)),
        Text(duration(health.lag)),
        Text(waiting(health)),
    )


def _bar(health: Health, width: int) -> RenderableType:
    """How far a listing is; a moving stripe where nobody knows how much there is."""
    if not health.under_way:
        return Text("")
    if health.share is None:
        return ProgressBar(total=None, width=width, pulse=True)
    return ProgressBar(total=1.0, completed=health.share, width=width)

"""What `doctor` makes of a sync's health: what somebody has to do something about. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from httpproxy.cli.wording import duration, wrong
from httpproxy.sync.health import Health, Phase

LATE_SECONDS: Final = 900.0  # without a word from a feed that is asked every few seconds
MARKED_SECONDS: Final = 3_600.0  # a mark is answered within minutes where calls succeed


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` names the thing, `remedy` what to do, "" if nothing is to be done."""

    level: Level
    about: str
    said: str
    remedy: str = ""


def symptoms(sync: str, collections: Sequence[Health], now: float) -> Iterator[Finding]:
    """What is to be said of the sync of this name at `now`, seconds since the epoch."""
    there = [each for each in collections if each.phase is not Phase.REMOVED]
    if any(each.phase is Phase.PAUSED for each in there):
        yield Finding(
            Level.WARNING,
            f"sync {sync}",
            "it is paused: nothing is read from the API for it",
            f"`httpproxy sync resume {sync}` lets it go on",
        )
        return
    for each in there:
        about = f"sync {sync}: {each.table}"
        if each.error:
            level = Level.WARNING if each.held else Level.PROBLEM
            yield Finding(level, about, f"{each.phase.value}: {wrong(each, now)}", each.remedy)
        elif each.since is not None and now - each.since > MARKED_SECONDS:
            said = f"it is to be read again since {duration(now - each.since)}"
            remedy = "does `httpproxy serve` run? If it does, its rate limit may be spent"
            yield Finding(Level.WARNING, about, said, remedy)
    yield from _unheard(sync, there)


def _unheard(sync: str, there: Sequence[Health]) -> Iterator[Finding]:
    """One finding for all that nobody works on: it has one reason."""
    serve = "`httpproxy serve` does that; it must run, with the role sync"
    late = [each for each in there if (each.lag or 0.0) > LATE_SECONDS and not each.error]
    if late:
        most = max(each.lag or 0.0 for each in late)
        said = f"nobody has asked what changed in {_named(late)} for {duration(most)}"
        yield Finding(Level.WARNING, f"sync {sync}: lag", said, serve)
    begun = [each for each in there if each.phase is not Phase.WAITING]
    if there and not begun:
        said = f"{_named(there)}: waiting to be read for the first time"
        yield Finding(Level.OK, f"sync {sync}: backfill", said, serve)


def _named(collections: Sequence[Health]) -> str:
    names = [each.table for each in collections]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more

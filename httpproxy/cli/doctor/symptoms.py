"""What `doctor` makes of a sync's health: what somebody has to do something about. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from httpproxy.cli.wording import alike, duration, named, wrong
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
    for together in alike(there):
        level = Level.WARNING if together[0].held else Level.PROBLEM
        said = f"{together[0].phase.value}: {wrong(together, now)}"
        about = f"sync {sync}: {named(together)}"
        yield Finding(level, about, said, together[0].remedy)
    yield from _marked(sync, there, now)
    yield from _unheard(sync, there)


def _marked(sync: str, there: Sequence[Health], now: float) -> Iterator[Finding]:
    for each in there:
        waits = 0.0 if each.since is None or each.error else now - each.since
        if waits > MARKED_SECONDS:
            yield Finding(
                Level.WARNING,
                f"sync {sync}: {each.table}: marks",
                f"it is to be read again since {duration(waits)}",
                "does `httpproxy serve` run? If it does, its rate limit may be spent",
            )


def _unheard(sync: str, there: Sequence[Health]) -> Iterator[Finding]:
    """One finding for all that nobody works on: it has one reason."""
    serve = "`httpproxy serve` does that; it must run, with the role sync"
    fed = [each for each in there if each.followed and not each.error]
    late = [each for each in fed if (each.lag or 0.0) > LATE_SECONDS]
    if late:
        most = max(each.lag or 0.0 for each in late)
        said = f"nobody has asked what changed in {named(late)} for {duration(most)}"
        yield Finding(Level.WARNING, f"sync {sync}: lag", said, serve)
    begun = [each for each in there if each.phase is not Phase.WAITING]
    if there and not begun:
        said = f"{named(there)}: waiting to be read for the first time"
        yield Finding(Level.OK, f"sync {sync}: backfill", said, serve)

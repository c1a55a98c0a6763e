"""What the sync does next with a collection: decisions only. Pure.

    wanted       does it have to be listed now, and how; or when at the earliest
    mass_delete  are so many records missing that somebody should have a look
    backoff      how long to leave something alone that has failed

All times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from httpproxy.store.sync.states import CollectionState, Missing, RunKind

# Marks of a whole collection may come with every write to a link field. A listing takes
# about 4 ms for each row (100 rows a call, a few calls a second): those that marks ask for
# get a twentieth of the time.
REST: Final = 60.0
REST_PER_ROW: Final = 0.08
FIRST_FAILURE: Final = 2.0
LONGEST_PAUSE: Final = 900.0


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """How often a collection is listed without a reason, and what counts as too much.

    `share` of its rows, and more than `minimum` rows, missing in a listing hold a sweep.
    """

    sweep_interval: float
    share: float
    minimum: int


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is to begin."""

    kind: RunKind
    thorough: bool
    why: str


def wanted(state: CollectionState, policy: SweepPolicy, now: float) -> NewRun | float | None:
    """The run to begin now, or the seconds until the next one; None: not of itself."""
    if state.removed or (state.held is not None and not state.held.approved):
        return None
    if state.backfilled_at is None:
        return NewRun(RunKind.BACKFILL, True, "it was never listed")
    if state.wants_thorough:
        return NewRun(RunKind.SWEEP, True, "a resync was asked for")
    last = state.listed_at or state.backfilled_at
    if state.whole_mark is not None:
        pause = min(max(REST, state.rows * REST_PER_ROW), policy.sweep_interval)
        rest = last + pause - now
        return rest if rest > 0 else NewRun(RunKind.SWEEP, False, "it is marked dirty")
    due = last + policy.sweep_interval - now
    return due if due > 0 else NewRun(RunKind.SWEEP, False, "it is time")


def mass_delete(missing: Missing, policy: SweepPolicy) -> bool:
    """Whether a listing lacks so many of the rows that it may be wrong itself."""
    return missing.missing > max(policy.share * missing.rows, policy.minimum)


def backoff(failures: int) -> float:
    """Seconds until the next try, after this many failures in a row (at least one)."""
    return min(FIRST_FAILURE * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE)

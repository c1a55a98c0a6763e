"""How a sync is, told from what the database knows of its collections. Pure.

    phase    what a collection is at: waiting, backfill, live, sweep, held, failing …
    health   the same with lag, rows, requests, the last error and what to do about it
    overall  the phase of a whole sync: that of the collection that needs somebody most

The command line and the API say the same of a sync, because both ask here. Times are
seconds since the epoch, the clock is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from httpproxy.store.sync.states import CollectionState, Held, RunKind


class Phase(StrEnum):
    """What a collection is at.

    WAITING   never listed so far, or to be read anew: nobody has begun
    BACKFILL  listed for the first time; its table can be read meanwhile
    LIVE      complete, and followed
    SWEEP     complete and followed; listed again, to find what no feed told
    HELD      a listing lacked so many records that nothing is deleted until somebody agrees
    FAILING   the last call failed; it is tried again
    PAUSED    its sync is paused
    REMOVED   gone upstream; the table stays as it is
    """

    WAITING = "waiting"
    BACKFILL = "backfill"
    LIVE = "live"
    SWEEP = "sweep"
    HELD = "held"
    FAILING = "failing"
    PAUSED = "paused"
    REMOVED = "removed"


_LISTING: Final = (Phase.BACKFILL, Phase.SWEEP, Phase.FAILING)
# Of several collections, the first of these that there is tells how the sync is.
_URGENCY: Final = (
    Phase.PAUSED,
    Phase.FAILING,
    Phase.HELD,
    Phase.BACKFILL,
    Phase.WAITING,
    Phase.SWEEP,
    Phase.LIVE,
    Phase.REMOVED,
)


@dataclass(frozen=True, slots=True)
class Health:
    """How one collection is.

    id, name, table  the collection as the API and as the database call it
    phase      what it is at
    under_way  whether it is being listed, or would be if the last call had not failed
    records    read by that run, 0 without one
    share      how much of it that is (0 to 1), None where nobody knows how much there is
    thorough   whether the run under way, or asked for, reads every record anew
    rows       in the table, about
    followed   whether a feed tells what changes in it; else only listings do
    lag        seconds since that feed, or listing, last told; None: not yet
    succeeded  when anything last went well
    marks      records marked to be read again; `whole`: the collection is
    since      when what is wrong began (failing, held, marked); None: nothing is
    held       whether its sweep waits for the user's word
    error      what is wrong, in the API's own words where it said so; "": nothing
    remedy     what to do about it; "": nothing, or nothing but to wait
    failures   how often in a row it has failed
    requests   calls to the API, by class
    checked    records compared with the API, and how many of them had `drifted`
    """

    id: str
    name: str
    table: str
    phase: Phase
    under_way: bool
    records: int
    share: float | None
    thorough: bool
    rows: int
    followed: bool
    lag: float | None
    succeeded: float | None
    marks: int
    whole: bool
    since: float | None
    held: bool
    error: str
    remedy: str
    failures: int
    requests: Mapping[str, int]
    checked: int
    drifted: int

    @property
    def settled(self) -> bool:
        """Whether all that the API has is in the table, as far as anybody knows."""
        if self.phase is Phase.SWEEP:
            return not self.thorough
        return self.phase in (Phase.LIVE, Phase.REMOVED)

    @property
    def stuck(self) -> bool:
        """Whether nothing goes on here until somebody says so."""
        return self.phase in (Phase.HELD, Phase.PAUSED)


def phase(state: CollectionState, status: str) -> Phase:
    """What a collection of a sync with this status ("active", "paused") is at."""
    run = state.run
    told = (
        (state.removed, Phase.REMOVED),
        (status == "paused", Phase.PAUSED),
        (state.trouble is not None, Phase.FAILING),
        (_held(state) is not None, Phase.HELD),
        (run is not None and run.kind is RunKind.BACKFILL, Phase.BACKFILL),
        (run is not None, Phase.SWEEP),
        (state.backfilled_at is None or state.wants_thorough, Phase.WAITING),
    )
    return next((phase for it_is, phase in told if it_is), Phase.LIVE)


def health(state: CollectionState, sync: str, status: str, now: float) -> Health:
    """How a collection is at `now`; its sync has this name, for the remedies, and status."""
    run, at, (error, remedy) = state.run, phase(state, status), _wrong(state, sync)
    heard = state.heard_at or state.listed_at
    well = (state.succeeded_at, state.heard_at, state.listed_at)
    return Health(
        id=state.collection,
        name=state.name,
        table=state.table_name,
        phase=at,
        under_way=run is not None and at in _LISTING,
        records=run.records if run else 0,
        share=_share(state),
        thorough=run.thorough if run else state.wants_thorough,
        rows=state.rows,
        followed=state.heard_at is not None,
        lag=None if heard is None else max(0.0, now - heard),
        succeeded=max(filter(None, well), default=None),
        marks=state.dirty,
        whole=state.whole_mark is not None,
        since=_since(state),
        held=_held(state) is not None,
        error=error,
        remedy=remedy,
        failures=state.trouble.failures if state.trouble else 0,
        requests=state.requests,
        checked=state.truth.checked,
        drifted=state.truth.drifted,
    )


def overall(collections: Iterable[Health]) -> Phase:
    """How a sync is; one without collections waits."""
    there = {each.phase for each in collections}
    return next((each for each in _URGENCY if each in there), Phase.WAITING)


def _share(state: CollectionState) -> float | None:
    """How far the run is. No API says how many records there are before they are listed:
    only a collection that was complete before has a measure, its rows."""
    if state.run is None or state.backfilled_at is None or state.rows <= 0:
        return None
    return min(1.0, state.run.records / state.rows)


def _held(state: CollectionState) -> Held | None:
    """What waits for the user's word; None if nothing does, or it was given."""
    return state.held if state.held is not None and not state.held.approved else None


def _wrong(state: CollectionState, sync: str) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    if state.trouble is not None:
        return state.trouble.error, state.trouble.remedy
    held, table = _held(state), state.table_name
    if held is None:
        return _unrefreshed(state)
    lacking = f"the last listing lacks {held.missing:,} of {held.rows:,} rows"
    agree = f"if they are really gone: `httpproxy sync resume {sync} --delete-missing {table}`"
    anew = f"to list them anew: `httpproxy sync resync {sync} {table}`"
    return f"{lacking}; nothing was deleted", f"{agree}; {anew}"


def _unrefreshed(state: CollectionState) -> tuple[str, str]:
    """What will be wrong when the token that there is has ended."""
    found = state.unrefreshed
    if found is None or state.removed:
        return "", ""
    anew = f"Store new tokens in the credential {found.credential_id}."
    remedy = anew if found.spent else f"Nothing, if it passes. Should it stay: {anew}"
    return f"its credential's tokens were not refreshed: {found.why}", remedy


def _since(state: CollectionState) -> float | None:
    if state.trouble is not None:
        return state.trouble.since
    if held := _held(state):
        return held.since
    return state.whole_since

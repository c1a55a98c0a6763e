"""What has changed in an object type, found by search.

Search knows a change by the record's modified date, and only a while after it happened:
its index lags behind. So a pass begins well before the last one did and tells ids and
versions, never values: those of which the store has another version are read by id.

A pass walks by id (`searching`). Where it is, is its state, so that a pass over a bulk
update may take as long as it takes, over any number of restarts.

A pass has no upper end: what changes during it is told now if its id is still to come,
and by the next pass in any case. So a clock of ours that is slow delays nothing.
Associations have no modified date and most computed values do not move the record's:
those are found by the listings alone.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from providers.http import Request, Response, answered_at
from providers.hubspot.fields import moment
from providers.hubspot.searching import LARGEST_PAGE, Found, at_or_after, search
from providers.record import JSON, NO_CHANGE, Change, Collection, Dirty
from providers.spec import Budget, Conversation, Feed, Heard

FOUND: Final = "search shows another version than the row has"

# How far back a pass begins: more than the index has been seen to lag behind (seconds,
# rarely minutes), and what a clock of ours may be wrong without an answer that says so.
OVERLAP: Final = 300.0
PAGES_AT_ONCE: Final = 5  # a second of the portal's five searches
_MODIFIED: Final = {"0-1": "lastmodifieddate"}

_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def modified_property(collection: Collection) -> str | None:
    """The property that says when a record was last changed, None if it has none."""
    name = _MODIFIED.get(collection.id, "hs_lastmodifieddate")
    return name if name in collection.by_name else None


def feeds(collections: Sequence[Collection]) -> tuple[Feed, ...]:
    """One feed for each object type whose changes search can find."""
    return tuple(
        Feed(collection.id, (collection,))
        for collection in collections
        if modified_property(collection) is not None  # a pair has none
    )


@dataclass(frozen=True, slots=True)
class Pass:
    """Where a pass is. Moments are milliseconds since 1970, as filters take them.

    `since` is where it begins, `following` where the next one will (None before its first
    answer), `last` the id after which it goes on.
    """

    since: int
    following: int | None = None
    last: str = "0"


def listen(feed: Feed, state: JSON, now: float) -> Generator[Request, Response, Heard]:
    """A few pages of what has changed since `state`. Raises Refused."""
    (collection,) = feed.collections
    place = _place(state)
    if place is None:
        # One hit, to see that search answers and what the time is there.
        _, clock = yield from _search(collection, Pass(_ago(now)), now, limit=1)
        missed = () if state is None else (collection.id,)  # a state that nobody can read
        return Heard(NO_CHANGE, _state(Pass(_ago(clock))), missed=missed)
    marks: list[Dirty] = []
    for _ in range(PAGES_AT_ONCE):
        found, clock = yield from _search(collection, place, now)
        marks += (
            Dirty(collection.id, (k,), FOUND, moment(h.get("updatedAt"))) for k, h in found.hits
        )
        following = _ago(clock) if place.following is None else place.following
        if not found.goes_on:
            return Heard(Change(dirty=tuple(marks)), _state(Pass(following)))
        place = Pass(place.since, following, found.last)
    return Heard(Change(dirty=tuple(marks)), _state(place), more=True)


def _search(
    collection: Collection, place: Pass, now: float, limit: int = LARGEST_PAGE
) -> Generator[Request, Response, tuple[Found, float]]:
    """The next hits by id, and when that was (epoch seconds): by HubSpot's clock, whose
    dates are searched for."""
    modified = at_or_after(modified_property(collection) or "", place.since)
    found = yield from search(collection, [modified], place.last, limit)
    return found, answered_at(found.response, now)


def _ago(moment_: float) -> int:
    return int((moment_ - OVERLAP) * 1000)


def _state(place: Pass) -> JSON:
    return {"since": place.since, "following": place.following, "last": place.last}


def _place(state: JSON) -> Pass | None:
    """The pass of a state that `_state` made, None for any other."""
    match state:
        case {"since": int(since), "following": int() | None as following, "last": str(last)}:
            return Pass(since, following, last)
        case _:
            return None


def hang_up(feed: Feed, state: JSON) -> Conversation[None]:
    """Nothing is open at HubSpot: a search leaves nothing behind."""
    del feed, state
    yield from ()


def allowed(budget: str, response: Response) -> Budget | None:
    """The app's rate as the answer's headers state it, None if they state none.

    A search counts against a limit of its own, which no header tells.
    """
    most = response.headers.get("X-HubSpot-RateLimit-Max", "")
    interval = response.headers.get("X-HubSpot-RateLimit-Interval-Milliseconds", "")
    if budget != "standard" or not (_COUNT.fullmatch(most) and _COUNT.fullmatch(interval)):
        return None
    return Budget(budget, int(most), int(interval) / 1000)

"""HubSpot's rate limits: what a call spends, what its headers say, when it is refused.

A call to search spends from the portal's own five per second and nothing else, and its
answer has no rate limit headers.
"""

from __future__ import annotations

from typing import Final

from providers.hubspot.sandbox.errors import over_limit
from providers.hubspot.sandbox.state import Token, World
from providers.hubspot.sandbox.switches import Switches

_WINDOW: Final = 10.0
_DAY: Final = 86_400


def spend(world: World, token: Token, switches: Switches, now: float, *, search: bool) -> None:
    """Counts a call. Raises ApiError (429) for one over a limit, which is not counted."""
    if search:
        recent = _recent(world.searches, str(token.portal), now, 1.0)
        if len(recent) >= switches.searches_per_second:
            raise over_limit("SECONDLY", token.app)
        recent.append(now)
        return
    day, used = _today(world, token, now)
    if used >= switches.requests_per_day:
        raise over_limit("DAILY", token.app)
    recent = _recent(world.calls, _app(token), now, _WINDOW)
    if len(recent) >= switches.requests_per_ten_seconds:
        raise over_limit("TEN_SECONDLY_ROLLING", token.app)
    recent.append(now)
    world.days[str(token.portal)] = [day, used + 1]


def headers(
    world: World, token: Token, switches: Switches, now: float
) -> list[tuple[str, str]]:
    """The rate limit headers of any answer but a search's."""
    most = switches.requests_per_ten_seconds
    left = most - len(_recent(world.calls, _app(token), now, _WINDOW))
    found = [
        ("X-HubSpot-RateLimit-Max", str(most)),
        ("X-HubSpot-RateLimit-Remaining", str(left)),
        ("X-HubSpot-RateLimit-Interval-Milliseconds", str(int(_WINDOW * 1000))),
    ]
    if token.kind == "private":
        daily = switches.requests_per_day
        found += [
            ("X-HubSpot-RateLimit-Daily", str(daily)),
            ("X-HubSpot-RateLimit-Daily-Remaining", str(daily - _today(world, token, now)[1])),
        ]
    return found


def _app(token: Token) -> str:
    return f"{token.portal}/{token.app}"


def _recent(book: dict[str, list[float]], key: str, now: float, window: float) -> list[float]:
    listed = book.setdefault(key, [])
    while listed and listed[0] <= now - window:
        del listed[0]
    return listed


def _today(world: World, token: Token, now: float) -> tuple[int, int]:
    day = int(now // _DAY)
    then, used = world.days.get(str(token.portal), [day, 0])
    return (day, used) if then == day else (day, 0)

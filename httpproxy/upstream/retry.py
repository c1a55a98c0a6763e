"""Which reads of our own are asked again, and when: tables.

Pure: the time and the dice are arguments.

A *write* of the application's is never sent again, not even where it would be safe: a
429 goes to the client unchanged, whose own retry logic knows it, and so does our 502
with `sent: no`. A *read* of our own is repeated when the trouble can pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from httpproxy.upstream.errors import (
    AnswerIncomplete,
    AnswerTimeout,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectTimeout,
    NameUnresolved,
    Unreachable,
    UpstreamError,
)
from providers.http import Headers, Response

PASSING_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

PASSING: Final[tuple[type[UpstreamError], ...]] = (
    NameUnresolved,
    ConnectionRefused,
    Unreachable,
    ConnectTimeout,
    ConnectionTerminated,
    AnswerTimeout,
    AnswerIncomplete,
)
"""Troubles that may be gone a moment later. A wrong certificate, an answer over our
limit or a server that does not speak HTTP will be the same."""

ATTEMPTS: Final = 5
MAX_RETRY_AFTER: Final = 300.0  # seconds; a vendor asking for more is asked again then
FIRST_WAIT: Final = 0.5
MAX_WAIT: Final = 30.0


def is_passing(response: Response, terminal: Callable[[Response], bool]) -> bool:
    """Whether a read of ours should be repeated after this answer.

    `terminal` knows the vendor's refusals that time will not heal in minutes (a daily
    or a billing limit behind a 429).
    """
    return response.status in PASSING_STATUSES and not terminal(response)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds of silence that a Retry-After field asks for, at most MAX_RETRY_AFTER.

    `value` is delta-seconds or an HTTP date in any of its three forms; `now` is seconds
    since the epoch. A date that has passed is 0. None if there is nothing to read.
    """
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # Digits without end are legal; int() of a long string is slow and then refuses.
        return MAX_RETRY_AFTER if len(text) > 9 else min(float(text), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def pause_asked(headers: Headers, now: float) -> float | None:
    """What Retry-After of an answer asks for, in seconds, None if nothing."""
    return retry_after(headers.get("Retry-After"), now)


def backoff(attempt: int, dice: float) -> float:
    """Seconds before the next attempt after the `attempt`-th (1, 2, …) failed.

    Doubling, with jitter: `dice` in [0, 1) chooses between half the step and the whole,
    so that many who failed together do not come back together.
    """
    step = min(FIRST_WAIT * 2.0 ** (attempt - 1), MAX_WAIT)
    return step * (0.5 + dice / 2)


def wait_before(attempt: int, response: Response | None, now: float, dice: float) -> float:
    """Seconds before the next attempt: what the answer asks for, and the backoff on top.

    Many are refused at once and told the same time; they are not to come back together.
    """
    asked = None if response is None else pause_asked(response.headers, now)
    return backoff(attempt, dice) + (asked or 0.0)

"""What may be sent again, and when: tables.

Pure: the time and the dice are arguments.

A *write* goes to the API at most once. The exceptions are the two rows of `RESEND`
that say so: nothing left, or the API answered 429 and so did nothing. For now the
gateway uses neither: a 429 goes to the client unchanged, whose own retry logic knows
it, and so does our 502 with `sent: no`. A *read* of our own may be repeated when the
trouble can pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from httpproxy.upstream.errors import (
    AnswerIncomplete,
    AnswerTimeout,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectTimeout,
    NameUnresolved,
    Sent,
    Unreachable,
    UpstreamError,
)
from providers.http import Headers, Response

Kind = Literal["write", "read"]

#                     what became of the call        a write  a read of ours
RESEND: Final[dict[tuple[Kind, Sent | int], bool]] = {
    ("write", "no"): True,        # nothing left
    ("write", "unknown"): False,  # it may have been carried out
    ("write", "yes"): False,
    ("write", 429): True,         # refused before anything was done
    ("write", 408): False,
    ("write", 425): False,
    ("write", 500): False,        # it may have failed after applying
    ("write", 502): False,
    ("write", 503): False,
    ("write", 504): False,
    ("read", "no"): True,
    ("read", "unknown"): True,
    ("read", "yes"): True,
    ("read", 408): True,
    ("read", 425): True,
    ("read", 429): True,
    ("read", 500): True,
    ("read", 502): True,
    ("read", 503): True,
    ("read", 504): True,
}  # fmt: skip

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


def may_resend(kind: Kind, outcome: Sent | int) -> bool:
    """Whether the table lets a call go again. `outcome` is a status, or what is known
    of a call without an answer. A status that is not listed is an answer."""
    return RESEND.get((kind, outcome), False)


def is_passing(response: Response, terminal: Callable[[Response], bool]) -> bool:
    """Whether a read of ours should be repeated after this answer.

    `terminal` knows the vendor's refusals that time will not heal in minutes (a daily
    or a billing limit behind a 429).
    """
    return may_resend("read", response.status) and not terminal(response)


def retry_after(value: str | None, now: float, cap: float = MAX_RETRY_AFTER) -> float | None:
    """Seconds of silence that a Retry-After field asks for, at most `cap`.

    `value` is delta-seconds or an HTTP date in any of its three forms; `now` is seconds
    since the epoch. A date that has passed is 0. None if there is nothing to read.
    """
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # Digits without end are legal; int() of a long string is slow and then refuses.
        return cap if len(text) > 9 else min(float(text), cap)
    try:
        moment = parsedate_to_datetime(text)
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), cap)


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
    """Seconds before the next attempt: what the answer asks for, but never less than
    the backoff."""
    own = backoff(attempt, dice)
    asked = None if response is None else pause_asked(response.headers, now)
    return own if asked is None else max(own, asked)

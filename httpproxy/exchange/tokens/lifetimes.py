"""When a token is refreshed, told from how long it lives. Pure: times are arguments.

A token is refreshed while it is still good, so that nobody waits for it: when a fifth of its
life is left, or five minutes if that is more, but never in its first half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHARE: Final = 0.2
_AHEAD: Final = 300.0
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 300.0
_SLACK: Final = 1.0  # seconds that a call may take to get there


def refresh_in(expires_in: float | None) -> float:
    """Seconds until a token that lives so long is to be refreshed.

    One whose life is unknown is refreshed at once: after that, it is known.
    """
    if expires_in is None:
        return 0.0
    return expires_in - max(_SHARE * expires_in, min(_AHEAD, expires_in / 2))


def pause_after(failures: int) -> float:
    """Seconds until a refresh that failed so many times in a row is tried again."""
    return float(min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE))


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a token is good, and from when on it is to be refreshed; None: for ever,
    and never. Seconds of one clock, whose now is an argument."""

    until: float | None = None
    due: float | None = None

    @classmethod
    def counted(cls, now: float, remaining: float | None, due: float | None) -> Lifetime:
        """Of a token of which so many seconds remain, and so many until it is due."""
        return cls(
            None if remaining is None else now + remaining, None if due is None else now + due
        )

    def is_good(self, now: float) -> bool:
        """Whether a call that leaves now gets there in time."""
        return self.until is None or now < self.until - _SLACK

    def is_due(self, now: float) -> bool:
        return self.due is not None and now >= self.due

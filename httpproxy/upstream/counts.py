"""What permits were given out, counted by class. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from httpproxy.upstream.lane import Priority


class Counts:
    """Since the start, each by class: `grants`, `waits` (calls that had to wait), `expired`
    (that waited in vain), `waited` (seconds)."""

    __slots__ = ("expired", "grants", "waited", "waits")

    def __init__(self) -> None:
        self.grants = dict.fromkeys(Priority, 0)
        self.waits = dict.fromkeys(Priority, 0)
        self.expired = dict.fromkeys(Priority, 0)
        self.waited = dict.fromkeys(Priority, 0.0)

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        """All of them together."""
        whole = cls()
        for part in parts:
            for priority in Priority:
                whole.grants[priority] += part.grants[priority]
                whole.waits[priority] += part.waits[priority]
                whole.expired[priority] += part.expired[priority]
                whole.waited[priority] += part.waited[priority]
        return whole

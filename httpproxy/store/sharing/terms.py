"""What processes tell each other of a lane: values of one exchange. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Wants: TypeAlias = tuple[int, ...]  # slots that are used and waited for, by class


@dataclass(frozen=True, slots=True)
class Offer:
    """A process's part. Absolute numbers: said twice, they mean what they mean once.

    It holds no more than `keep` slots from now on (what it gives back is free in its lane
    by an interval of `judged` seconds), and could use `ask` more. `requests` in any
    `period` seconds, `concurrent` at once (0: no cap) is the limit as it knows it. `pause`:
    nobody calls for so many seconds. `leaves`: it does not use the lane any more.
    """

    lane: str
    keep: int
    ask: int
    wants: Wants
    requests: int
    period: float
    concurrent: int
    judged: float
    pause: float = 0.0
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What a process holds of a lane, and wants by its last word."""

    process: int
    slots: int
    wants: Wants


@dataclass(frozen=True, slots=True)
class Found:
    """A lane after an exchange: the limit that all keep, and who holds what.

    `cooling` slots are nobody's for `cold_in` seconds. Nobody is to call for `paused`
    seconds. `moment` is the database's clock (epoch seconds), to take turns by.
    """

    lane: str
    slots: int
    period: float
    concurrent: int
    cooling: int
    cold_in: float
    paused: float
    moment: float
    shares: tuple[Share, ...]

    @property
    def free(self) -> int:
        """Slots that nobody holds; negative if the limit has shrunk below the shares."""
        return self.slots - self.cooling - sum(share.slots for share in self.shares)

    def held(self, process: int) -> int:
        """The slots of a process."""
        return next((s.slots for s in self.shares if s.process == process), 0)

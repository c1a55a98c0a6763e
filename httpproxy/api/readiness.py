"""Whether this process should get calls: named checks, each with a grace.

A check is a function that says what is stuck, or None. It counts as failed when it has
said so for longer than its grace, so that a restart of the database takes nobody out of
service. What is not here is as deliberate: a sync that fails and an API that is down are
not helped by sending calls elsewhere.

    starting ──serve()──> serving ──drain()──> draining
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Probe = Callable[[], str | None]

LOOK_SECONDS: Final = 0.5  # between looks: since when something is stuck is known as exactly

_WORDS: Final = {
    "starting": "the process is starting",
    "draining": "the process is stopping and finishes the calls under way",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that may be stuck. `grace` is in seconds."""

    name: str
    probe: Probe
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check stands: why it is not well and for how many seconds, and whether that
    counts."""

    name: str
    failing: bool
    why: str | None
    seconds: float

    def members(self) -> dict[str, Any]:
        """As JSON."""
        said = {"name": self.name, "ok": not self.failing}
        return said if self.why is None else {**said, "why": self.why, "for": self.seconds}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether calls should come here, and how each check stands."""

    ready: bool
    state: str
    findings: tuple[Finding, ...]

    def reasons(self) -> list[str]:
        """Why not, in sentences; empty if ready."""
        reasons = [_WORDS[self.state]] if self.state in _WORDS else []
        return reasons + [f"{f.name}: {f.why}" for f in self.findings if f.failing]

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ready": self.ready,
            "state": self.state,
            "reasons": self.reasons(),
            "checks": [finding.members() for finding in self.findings],
        }


class Readiness:
    """The checks of this process. `clock` is a monotonic one, in seconds."""

    def __init__(self, checks: Sequence[Check], clock: Callable[[], float]) -> None:
        self._checks = tuple(checks)
        self._clock = clock
        self._since: dict[str, float] = {}
        self._state: Literal["starting", "serving", "draining"] = "starting"

    def __repr__(self) -> str:
        return f"Readiness({self._state}, failing={sorted(self._since)})"

    def serve(self) -> None:
        """The doors are open."""
        if self._state == "starting":
            self._state = "serving"

    def drain(self) -> None:
        """The process is about to stop: no new calls, from now on."""
        self._state = "draining"

    def verdict(self) -> Verdict:
        """How everything stands now."""
        now = self._clock()
        findings = tuple(self._look(check, now) for check in self._checks)
        ready = self._state == "serving" and not any(f.failing for f in findings)
        return Verdict(ready, self._state, findings)

    async def keep(self) -> None:
        """Looks again and again, until cancelled: a grace counts from when trouble began."""
        while True:
            self.verdict()
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self, check: Check, now: float) -> Finding:
        why = check.probe()
        if why is None:
            self._since.pop(check.name, None)
            return Finding(check.name, False, None, 0.0)
        seconds = now - self._since.setdefault(check.name, now)
        return Finding(check.name, seconds >= check.grace, why, round(seconds, 1))

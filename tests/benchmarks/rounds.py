"""How figures are taken: interleaved rounds of short measurements, paired by round.

Absolute figures change with the machine and with what else it does. So whatever is
compared is measured in turn within each round, the order rotating, and a ratio is
the median over the rounds of the ratios within one round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.benchmarks.processes import Failed, Process

Figures = Mapping[str, list[float]]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server under load and the requests that it is sent, in turn."""

    name: str
    process: Process
    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a run measures: `rounds` of `seconds` for each contestant."""

    rounds: int
    seconds: float


def interleaved(
    contestants: Sequence[Contestant], pace: Pace, measure: Callable[[Contestant, float], float]
) -> Figures:
    """`measure(contestant, seconds)` in every round, after a short warm-up."""
    figures: dict[str, list[float]] = {one.name: [] for one in contestants}
    for one in contestants:
        measure(one, 0.5)
    for turn in range(pace.rounds):
        at = turn % len(contestants)
        for one in (*contestants[at:], *contestants[:at]):
            figures[one.name].append(measure(one, pace.seconds))
    return figures


def typical(figures: Figures, name: str) -> float:
    """The median over the rounds."""
    return median(figures[name])


def ratio(figures: Figures, ours: str, peer: str) -> float:
    """The median over the rounds of ours / peer."""
    return median(a / b for a, b in zip(figures[ours], figures[peer], strict=True))


def _checked(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if answer["failures"] or not answer["requests"]:
        raise Failed(f"{name}: {answer['failures']} requests failed under load")
    return answer


class Load:
    """The load generator's process, and the measurements that it can take."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def _order(self, one: Contestant, seconds: float, **how: float) -> Mapping[str, Any]:
        order = {
            "port": one.process.port,
            "requests": [request.decode() for request in one.requests],
            "seconds": seconds,
            **how,
        }
        return _checked(self._process.ask(order, seconds + 40), one.name)

    def per_second(self, one: Contestant, seconds: float) -> float:
        """Requests per second in a closed loop of 64 connections."""
        answer = self._order(one, seconds, connections=64)
        return float(answer["requests"]) / float(answer["seconds"])

    def per_core_second(self, one: Contestant, seconds: float) -> float:
        """Requests per second of CPU that the contestant's processes used."""
        before = one.process.cpu()
        answer = self._order(one, seconds, connections=64)
        return float(answer["requests"]) / (one.process.cpu() - before)

    def median_latency(self, one: Contestant, seconds: float) -> float:
        """The median latency in milliseconds at 200 requests per second."""
        return median(self.latencies(one, seconds, 200))

    def latencies(self, one: Contestant, seconds: float, rate: float) -> list[float]:
        """The latency of each request in milliseconds, at so many per second."""
        found: list[float] = self._order(one, seconds, rate=rate)["latencies"]
        return found


def by_hand(process: Process, seconds: float) -> float:
    """Writes per second of the client that upserts by itself, 64 at a time."""
    order = {"seconds": seconds, "concurrency": 64}
    answer = _checked(process.ask(order, seconds + 40), "by hand")
    return float(answer["requests"]) / float(answer["seconds"])

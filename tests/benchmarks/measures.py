"""What is measured: each function is one group of lines of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks import record
from tests.benchmarks.gateway import Gateway
from tests.benchmarks.processes import Process
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Load, Pace, by_hand, interleaved, ratio, typical

OURS: Final = "gateway"

# The targets of docs/performance.md.
NGINX_SHARE: Final = ("at least", 0.18)
NO_SLOWER: Final = ("at least", 1.0)
COMMIT_SHARE: Final = ("at least", 0.7)  # with intents, keys and metrics
BY_HAND: Final = ("at least", 1.5)
NGINX_LATENCY: Final = ("at most", 2.5)
COMMIT_MS: Final = ("at most", 1.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is on stage: the stub upstream, the load generator, the gateway, the peers."""

    load: Load
    stub: Process
    gateway: Gateway
    peers: Mapping[str, Process]
    by_hand: Process


def pass_through(scene: Scene, pace: Pace) -> Iterator[Result]:
    """Reads of one record through each proxy: requests per second of its CPU time."""
    contestants = [
        _ours(OURS, scene, record.read_call),
        *(Contestant(n, p, (record.read_call(),)) for n, p in scene.peers.items()),
    ]
    figures = interleaved(contestants, pace, scene.load.per_core_second)
    for peer in scene.peers:
        yield result(
            f"pass-through, requests per core-second, over {peer}",
            typical(figures, OURS),
            typical(figures, peer),
            ratio(figures, OURS, peer),
            NGINX_SHARE if peer == "nginx" else NO_SLOWER,
        )


def commits(scene: Scene, pace: Pace) -> Iterator[Result]:
    """Creates with 64 in flight: through the gateway, uncommitted, and by hand.

    The uncommitted twin is a POST with the same bytes in and out to a route that reads.
    """
    contestants = [
        _ours("committed", scene, record.create_call),
        _ours("passed", scene, record.listing_call),
        Contestant("by hand", scene.by_hand, ()),
    ]

    def measure(one: Contestant, seconds: float) -> float:
        if one.process is scene.by_hand:
            return by_hand(one.process, seconds)
        return scene.load.per_second(one, seconds)

    figures = interleaved(contestants, pace, measure)
    for peer, name, target in (
        ("passed", "the same proxy without a commit", COMMIT_SHARE),
        ("by hand", "a client that upserts by itself", BY_HAND),
    ):
        yield result(
            f"committed writes per second, 64 at once, over {name}",
            typical(figures, "committed"),
            typical(figures, peer),
            ratio(figures, "committed", peer),
            target,
        )


def latency(scene: Scene, pace: Pace) -> Iterator[Result]:
    """Median milliseconds at 200 requests per second, beyond those of a direct call.

    Pass-through is a read here as in `pass_through`; what a commit adds is told against
    a POST with the same bytes in and out that only passes through.
    """
    contestants = [
        Contestant("direct", scene.stub, (record.read_call(),)),
        Contestant("nginx", scene.peers["nginx"], (record.read_call(),)),
        _ours("read", scene, record.read_call),
        _ours("passed", scene, record.listing_call),
        _ours("committed", scene, record.create_call),
    ]
    figures = interleaved(contestants, pace, scene.load.median_latency)

    def added(name: str, to: str) -> list[float]:
        return [a - b for a, b in zip(figures[name], figures[to], strict=True)]

    ours, nginx = added("read", "direct"), added("nginx", "direct")
    yield result(
        "pass-through at 200/s, ms added to the median, over nginx's",
        median(ours),
        median(nginx),
        median(a / b for a, b in zip(ours, nginx, strict=True)),
        NGINX_LATENCY,
    )
    commit = median(added("committed", "passed"))
    yield result(
        "committed write at 200/s, ms added to a pass-through's median",
        commit,
        None,
        commit,
        COMMIT_MS,
    )


def _ours(name: str, scene: Scene, call: record.Call) -> Contestant:
    return Contestant(name, scene.gateway.process, (call(scene.gateway.prefix),))

"""Two workers against one, on a machine of two cores.

Load and API cost cores, too: what is to be seen needs ends that cost next to nothing. So
wrk asks and nginx answers; without wrk (Debian has it) the group is left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from tests.benchmarks import gateway, peers, record
from tests.benchmarks.processes import Failed, Process, Run
from tests.benchmarks.report import Result, result
from tests.benchmarks.rounds import Contestant, Pace, interleaved, ratio, typical

SCALING: Final = ("at least", 1.5)
_RATE: Final = re.compile(r"Requests/sec: +([0-9.]+)")
_FAILED: Final = re.compile(r"Non-2xx|Socket errors")


def workers(run: Run, prefixes: Mapping[int, tuple[str, str]], pace: Pace) -> Iterator[Result]:
    """Reads through a gateway of two workers over those through one of one.

    `prefixes`: by the number of workers, the DSN of a database and the sync's prefix there;
    in one database the two would share the limit.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        print("left out: wrk is not installed: apt-get install wrk", file=sys.stderr)
        return
    upstream = peers.static(run).port
    names = {1: "one worker", 2: "two workers"}
    contestants, paths = [], {}
    for count, (dsn, prefix) in prefixes.items():
        served = gateway.serve(run, dsn, upstream, count)
        contestants.append(Contestant(names[count], served, ()))
        paths[names[count]] = f"{prefix}/v0/{record.BASE}/{record.TABLE}/recBenchmarks0001"

    def measure(one: Contestant, seconds: float) -> float:
        return _asked(wrk, one.process, paths[one.name], seconds)

    figures = interleaved(contestants, pace, measure)
    yield result(
        "pass-through by two workers on two cores, over one",
        typical(figures, names[2]),
        typical(figures, names[1]),
        ratio(figures, names[2], names[1]),
        SCALING,
    )


def _asked(wrk: str, process: Process, path: str, seconds: float) -> float:
    """Requests per second over 64 connections."""
    done = subprocess.run(
        [
            *(wrk, "--threads", "1", "--connections", "64"),
            *("--duration", f"{max(1, round(seconds))}s"),
            *("--header", f"Authorization: Bearer {record.TOKEN}"),
            f"http://127.0.0.1:{process.port}{path}",
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    rate = _RATE.search(done.stdout)
    if rate is None or _FAILED.search(done.stdout):
        raise Failed(f"wrk: {done.stdout}{done.stderr}")
    return float(rate[1])

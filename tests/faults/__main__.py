"""The whole fault suite: `make faults`, or python -m tests.faults.

Prints what was done and what came of it, writes build/faults.json, and ends with 1 and the
history of the record if an invariant does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.processes import ROOT
from tests.faults.play import Act, Verdict, play
from tests.faults.removed_guards import GUARDS

GATEWAY: Final = ("gateway",)
BOTH: Final = ("gateway", "sync")


def acts(kills: int, writes: int, seconds: float) -> dict[int, list[Act]]:
    """What is played with one gateway, and what with two. They share the kills and the
    acknowledged writes that there are to be."""
    least = (kills // 4 + 1, seconds, writes // 4 + 1)
    return {
        1: [
            Act("gateway alone", GATEWAY, *least, trouble=4.0),
            Act("gateway and sync", BOTH, *least, trouble=4.0),
        ],
        2: [
            Act("two gateways", GATEWAY, *least, trouble=3.0, freezes=1),
            Act("two gateways and syncs", BOTH, *least, trouble=2.0, freezes=3),
        ],
    }


def main() -> int:
    """Plays; 0 if no invariant was violated."""
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--kills", type=int, default=300, help="of the whole run")
    options.add_argument("--writes", type=int, default=10_000, help="acknowledged, likewise")
    options.add_argument("--seconds", type=float, default=420, help="of one act, at most")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--logs", type=Path, help="a folder to keep the logs in")
    options.add_argument("--without", default="", choices=("", *GUARDS), help="a guard")
    options.add_argument("--processes", type=int, choices=(1, 2), help="only with so many")
    chosen = options.parse_args()
    began, code = time.monotonic(), 0

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    figures: dict[str, Any] = {"seed": chosen.seed}
    for processes, parts in acts(chosen.kills, chosen.writes, chosen.seconds).items():
        if chosen.processes not in (None, processes):
            continue
        verdict: Verdict = asyncio.run(
            play(
                parts,
                processes,
                chosen.seed + processes,
                say,
                logs=chosen.logs,
                without=chosen.without,
            )
        )
        figures[f"{processes} gateways"] = verdict.figures
        print(json.dumps(verdict.figures, indent=2))
        if verdict.violations:
            print(verdict)
            code = 1
    target = ROOT / "build" / "faults.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

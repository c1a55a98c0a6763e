"""What a benchmark found: one line of the table, one entry of build/bench.json."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_HOLDS: Final[dict[str, Callable[[float, float], bool]]] = {
    "at least": operator.ge,
    "at most": operator.le,
}


@dataclass(frozen=True, slots=True)
class Result:
    """`ours` against `peer` (None: there is none, `ratio` is then the figure itself).

    `met` is None where no target is set: the line is there for the reader.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float
    target: float | None
    met: bool | None


def result(
    name: str, ours: float, peer: float | None, ratio: float, target: tuple[str, float] | None
) -> Result:
    """A Result from its figures; `target` is ("at least" or "at most", bound)."""
    if target is None:
        return Result(name, ours, peer, ratio, None, None)
    side, bound = target
    return Result(
        f"{name}, {side} {bound:g}", ours, peer, ratio, bound, _HOLDS[side](ratio, bound)
    )


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def _verdict(met: bool | None) -> str:
    return {True: "met", False: "MISSED", None: ""}[met]


def line(found: Result) -> str:
    """One line of the table."""
    figures = (found.ours, found.peer, found.ratio, found.target)
    return (
        f"{found.name:<74}"
        + "".join(f"{_figure(value):>11}" for value in figures)
        + f"  {_verdict(found.met)}"
    )


HEADING: Final = f"{'benchmark':<74}" + "".join(
    f"{name:>11}" for name in ("ours", "peer", "ratio", "target")
)


def save(results: Sequence[Result], path: Path) -> None:
    """Writes the results as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(found) for found in results], indent=2) + "\n")

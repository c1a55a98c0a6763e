"""The state machine that hypothesis plays: every turn is one byte for each lane.

Hypothesis finds, and shrinks to zeros what a violation does not need. For the great
number a machine has many lanes: they are independent of each other but for the committers
that they share, so each of them is a schedule of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.model.house import Habits, House, open_house
from tests.model.stage import Stage
from tests.model.verdicts import Violation

TURNS: Final = 24
_QUIET: Final = settings(
    deadline=None,
    database=None,
    stateful_step_count=TURNS,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)


@dataclass
class Tally:
    """How much was played, and the first violation."""

    schedules: int = 0
    distinct: set[bytes] = field(default_factory=set)
    answers: int = 0  # proxied writes that were acknowledged
    images: int = 0
    overlaps: int = 0
    violation: Violation | None = None

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules ({len(self.distinct):,} different),"
            f" {self.answers:,} writes answered, {self.images:,} images committed,"
            f" {self.overlaps:,} refused and read again"
        )

    def add(self, stage: Stage) -> None:
        shapes = [lane.shape for lane in stage.lanes if lane.shape]
        self.schedules += len(shapes)
        self.distinct.update(shapes)
        self.answers += stage.answers


@contextmanager
def house_of(dsn: str, habits: Habits | None = None) -> Iterator[tuple[asyncio.Runner, House]]:
    """A house whose loop runs whenever a turn is played."""
    with asyncio.Runner() as runner:
        opened, end = asyncio.Event(), asyncio.Event()
        houses: list[House] = []

        async def keep() -> None:
            async with open_house(dsn, habits or Habits()) as house:
                houses.append(house)
                opened.set()
                await end.wait()

        async def begin() -> None:
            waiting = asyncio.ensure_future(opened.wait())
            await asyncio.wait([keeper, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if keeper.done():
                await keeper

        async def finish() -> None:
            end.set()
            await keeper

        keeper = runner.get_loop().create_task(keep())
        runner.run(begin())
        try:
            yield runner, houses[0]
        finally:
            runner.run(finish())


def play(
    dsn: str,
    lanes: int,
    examples: int,
    *,
    habits: Habits | None = None,
    focus: int | None = None,
    shrink: bool = False,
) -> Tally:
    """Plays so many examples of so many schedules each. Raises Violation.

    `focus`: all lanes are of this kind (`schedules.nature`). `shrink`: the example that
    is shown is a small one.
    """
    tally = Tally()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    with house_of(dsn, habits) as (runner, house):
        try:
            run_state_machine_as_test(
                _machine(runner.run, lambda: Stage(house, lanes, focus), tally),
                settings=settings(_QUIET, max_examples=examples, phases=phases),
            )
        except Exception:
            # Two committers race for real: hypothesis' replay may run otherwise.
            if tally.violation is None or shrink:
                raise
            raise tally.violation from None
        tally.images, tally.overlaps = house.images, house.overlaps
    return tally


def _machine(
    run: Callable[[Any], Any], stage: Callable[[], Stage], tally: Tally
) -> type[RuleBasedStateMachine]:
    moves = len(stage().lanes) + 1  # the first is the sync's own

    class IntervalRule(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.stage = stage()
            self.well = True

        @rule(choices=st.binary(min_size=moves, max_size=moves))
        def turn(self, choices: bytes) -> None:
            self.well = False
            self._run(self.stage.turn(choices))
            self.well = True

        def _run(self, part: Coroutine[Any, Any, None]) -> None:
            try:
                run(part)
            except Violation as violation:
                tally.violation = tally.violation or violation
                raise

        def teardown(self) -> None:
            try:
                if self.well:
                    self._run(self.stage.finish())
                    tally.add(self.stage)
            finally:
                run(self.stage.abandon())

    return IntervalRule

"""A run: acts, what is at rest after each, the verdict and the figures.

In an act callers write, gateways are killed at the named steps or at any moment and start
again, and things go wrong. Then everything is made fair, nobody writes any more, and what
is still to be done gets its time. Where no sync ran, what the APIs did for a call must by
then be in the tables, or marked: nothing but the intents can have brought it there. Where
the sync ran, one full cycle of it is waited for, and the tables must be what the APIs have.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from providers.catalog import PROVIDERS
from tests.faults.callers import Caller, ThirdParty
from tests.faults.checker import Violation, check
from tests.faults.database import Reader
from tests.faults.failpoints import POINTS, Point
from tests.faults.figures import Doubts, Verdict, figures
from tests.faults.proxies import NOTHING, Armed, Proxy
from tests.faults.stage import USUAL, Pace, Stage, open_stage
from tests.faults.troubles import Troubles

ANY_MOMENT: Final = "at any moment"
DRAINING: Final = 90.0  # seconds within which intents must have drained
FROZEN: Final = 13.0  # seconds; longer than a lease
# Seconds after which no call is under way at the APIs, whatever was ordered of them.
_QUIET: Final = 2.0
_QUIET_AFTER_TROUBLE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Act:
    """A part of a run. It ends after so many kills and acknowledged writes, or seconds.

    `pause`: the mean of the seconds between the calls of one caller, and `trouble` between
    one trouble and the next, 0 for none. `freezes`: how often a process is frozen.
    `patience`: seconds in which a process is to come to the step that it dies at.
    """

    name: str
    roles: tuple[str, ...]
    kills: int
    seconds: float
    writes: int = 0
    callers: int = 16
    pause: float = 0.08
    trouble: float = 0.0
    freezes: int = 0
    patience: tuple[float, float] = (2.0, 5.0)

    @property
    def syncs(self) -> bool:
        return "sync" in self.roles


@dataclass
class Play:
    """Plays acts on a stage."""

    stage: Stage
    dice: Random
    say: Callable[[str], None]
    seconds: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    doubts: Doubts = field(default_factory=Doubts)

    def __post_init__(self) -> None:
        self._decks: dict[tuple[str, ...], Iterator[Point]] = {}

    async def act(self, act: Act) -> None:
        """Plays an act to its end, and waits until everything is at rest."""
        began = time.monotonic()
        kills, writes = self._done()
        self.stage.settle(act.roles)
        # What is named by a value is marked to be read by the sync: without one it is not.
        self.stage.ledger.named = not act.syncs
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for name, work in self._cast(act, stop):
                tasks.create_task(work, name=name)
            while time.monotonic() < began + act.seconds:
                await asyncio.sleep(0.1)
                done = self._done()
                if done[0] >= kills + act.kills and done[1] >= writes + act.writes:
                    break
            stop.set()
        self.seconds[act.name] = round(time.monotonic() - began)
        await self._rest(act)
        now = self._done()
        self.say(f"{act.name}: {now[0] - kills} kills, {now[1] - writes} acknowledged writes")

    def _done(self) -> tuple[int, int]:
        """Kills and acknowledged writes so far."""
        return self.stage.tally.kills.total(), self.stage.ledger.acknowledged

    def _cast(self, act: Act, stop: asyncio.Event) -> Iterator[tuple[str, Any]]:
        stage = self.stage
        for n in range(act.callers):
            provider = list(PROVIDERS)[n % len(PROVIDERS)]
            dice = Random(self.dice.random())
            caller = Caller(provider, stage.doors, stage.ledger, dice, act.pause)
            yield f"caller {n}", self._calls(caller, stop)
        for proxy in stage.proxies:
            yield f"proxy {proxy.name}", self._keep(proxy, act, stop)
        if act.syncs:
            for provider in PROVIDERS:
                dice = Random(self.dice.random())
                third = ThirdParty(provider, stage.api, stage.ledger, dice, 2 * act.pause)
                yield f"third party {provider}", third.run(stop)
        if act.trouble:
            yield "troubles", self._trouble(act, stop)
        yield "intents", self.doubts.watch(stage.book, stop)

    async def _calls(self, caller: Caller, stop: asyncio.Event) -> None:
        reader = Reader(self.stage.book)
        try:
            await caller.run(stop, reader)
        finally:
            await reader.close()

    async def _trouble(self, act: Act, stop: asyncio.Event) -> None:
        stage = self.stage
        troubles = Troubles(
            stage.postgres, stage.book, stage.proxies, stage.api,
            Random(self.dice.random()), stage.disk, self.troubles,
        )  # fmt: skip
        try:
            await troubles.run(stop, act.trouble)
        finally:
            await troubles.end()

    # --- the processes -------------------------------------------------------------------

    async def _keep(self, proxy: Proxy, act: Act, stop: asyncio.Event) -> None:
        """Processes, one after the other, until the act is over."""
        freezes = act.freezes if proxy is self.stage.proxies[-1] else 0
        while not stop.is_set():
            if freezes:
                freezes -= 1
                await proxy.live()
                await asyncio.sleep(1)
                await proxy.freeze(FROZEN)
                await asyncio.sleep(1)
                await proxy.kill(ANY_MOMENT)
                continue
            if self.dice.random() < 0.06:
                await proxy.live()
                await asyncio.sleep(self.dice.uniform(0.5, 2))
                await proxy.stop()
                continue
            await self._one_life(proxy, act, stop)

    async def _one_life(self, proxy: Proxy, act: Act, stop: asyncio.Event) -> None:
        life = await proxy.live(self._draw(act))
        patience = self.dice.uniform(*act.patience)
        watching = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait(
                [watching, life.ended], timeout=patience, return_when="FIRST_COMPLETED"
            )
            await proxy.dies(life, ANY_MOMENT)
        finally:
            watching.cancel()

    def _draw(self, act: Act) -> Armed:
        roles = act.roles if len(self.stage.proxies) == 1 else (*act.roles, "others")
        deck = self._decks.setdefault(roles, self._deck(roles))
        point = next(deck)
        return Armed(point, self.dice.randint(1, point.most))

    def _deck(self, roles: Sequence[str]) -> Iterator[Point]:
        """Every step as often as any other, in an order of chance."""
        while True:
            points = [point for point in POINTS if point.role in roles]
            self.dice.shuffle(points)
            yield from points

    # --- at rest -------------------------------------------------------------------------

    async def _rest(self, act: Act) -> None:
        stage, began = self.stage, time.monotonic()
        for proxy in stage.proxies:
            await proxy.kill()
        for proxy in stage.proxies:
            await proxy.live(NOTHING)
        await asyncio.sleep(_QUIET_AFTER_TROUBLE if act.trouble else _QUIET)
        drained = asyncio.Event()
        watching = asyncio.ensure_future(self.doubts.watch(stage.book, drained))
        until = began + DRAINING
        while await stage.book.intents() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.25)  # a table
        drained.set()
        await watching
        self.seconds[f"{act.name}: draining"] = round(time.monotonic() - began)
        when = f"at rest after {act.name}"
        if act.syncs:
            self.seconds[f"{act.name}: full cycle"] = round(await stage.full_cycle())
            when = f"end of {act.name}"
        stage.ledger.history.tables.append(await stage.book.at_rest(when))
        for proxy in stage.proxies:
            await proxy.stop()

    async def ended(self) -> Verdict:
        """The verdict over all acts."""
        history = await self.stage.history()
        surprises = [Violation("I16", text) for text in self.stage.tally.surprises]
        violations = [*surprises, *check(history)]
        done = figures(self.stage, history, self.doubts, self.troubles, self.seconds)
        done["violations"] = dict(Counter(v.invariant for v in violations))
        return Verdict(done, violations, history)


async def play(
    acts: Sequence[Act],
    processes: int,
    seed: int,
    say: Callable[[str], None],
    *,
    pace: Pace = USUAL,
    logs: Path | None = None,
    without: str = "",
) -> Verdict:
    """Plays acts with so many gateways; the verdict. `logs`: where to keep all logs;
    `without`: a guard that is taken away."""
    async with open_stage(processes, seed, pace, without) as stage:
        run = Play(stage, Random(seed), say)
        try:
            for act in acts:
                await run.act(act)
            return await run.ended()
        finally:
            if logs is not None:
                stage.keep_logs(logs / f"{processes}")

"""A process that is armed ends at the passage that it was told, hard, and says where."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults import failpoints
from tests.faults.failpoints import POINTS, Point, arm, found


class Step:
    """Something to pass."""

    async def waits(self, gives: int) -> int:
        return gives

    def acts(self, gives: int) -> int:
        return gives


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_every_step_is_still_there(point: Point):
    owner, name = found(point)
    assert callable(getattr(owner, name))


def test_a_step_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError):
        found(Point("nowhere", "httpproxy.exchange.forwarding.write:Writes.fly"))


def test_names_of_steps_are_their_own():
    assert len(failpoints.BY_NAME) == len(POINTS)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Signals that were sent, in place of the end of this process."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    monkeypatch.setattr(Step, "acts", Step.acts)  # put back afterwards
    monkeypatch.setattr(Step, "waits", Step.waits)
    return sent


def test_a_process_ends_at_the_passage_that_it_was_told(killed: list[tuple[int, int]]):
    words: list[str] = []
    arm(Point("p", f"{__name__}:Step.acts"), 3, lambda: words.append("p"))
    assert [Step().acts(n) for n in range(2)] == [0, 1]
    assert not killed
    Step().acts(2)
    assert killed == [(os.getpid(), signal.SIGKILL)]
    assert words == ["p"]


async def test_only_passages_that_give_something_count_where_that_is_asked(
    killed: list[tuple[int, int]],
):
    point = Point("p", f"{__name__}:Step.waits", after=True, fruitful=True)
    arm(point, 1, lambda: None)
    assert await Step().waits(0) == 0
    assert not killed
    assert await Step().waits(1) == 1
    assert killed

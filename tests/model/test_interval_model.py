"""The interval rule under random schedules, and each of its guards taken away."""

from __future__ import annotations

import pytest
from neighbours.sparing import untraced

from tests.model.interval_machine import play
from tests.model.removed_guards import GUARDS, Guard
from tests.model.schedules import KINDS
from tests.model.verdicts import Violation

LANES, EXAMPLES = 240, 10  # the fifty thousand are `make model`


def test_random_schedules_violate_nothing(database_dsn: str) -> None:
    tally = play(database_dsn, LANES, EXAMPLES)
    # The first example of hypothesis' is the one in which nothing happens.
    assert tally.schedules >= LANES * (EXAMPLES - 2)
    assert len(tally.distinct) > 0.95 * tally.schedules
    assert tally.answers > tally.schedules
    assert tally.overlaps > tally.schedules, "the schedules hardly meet"
    assert LANES % KINDS == 0, "some kinds of lanes are played more than others"


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_no_guard_can_be_spared(guard: Guard, database_dsn: str, monkeypatch) -> None:
    if guard.patch is not None:
        guard.patch(monkeypatch)
    # Coverage has seen it all in the schedules without a guard removed.
    with untraced(), pytest.raises(Violation, match=r"I\d"):
        play(database_dsn, 64, 150, habits=guard.habits, focus=guard.focus)

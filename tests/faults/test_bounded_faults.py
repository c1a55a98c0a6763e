"""A bounded part of the fault suite: a dozen kills and some trouble, seeded."""

from __future__ import annotations

import asyncio

from tests.faults.play import Act, play
from tests.faults.stage import Pace

BRISK = Pace(looks=(0.0, 0.5, 1.0, 2.0, 3.0), claim=3.0)
SOON = (0.8, 1.2)


def test_two_gateways_that_are_killed_lose_nothing_and_send_nothing_twice():
    acts = [
        Act("gateways", ("gateway",), 7, 150, patience=SOON),
        Act("gateways and syncs", ("gateway", "sync"), 7, 150, trouble=0.5, patience=SOON),
    ]
    verdict = asyncio.run(play(acts, 2, 7, lambda _: None, pace=BRISK))
    assert not verdict.violations, f"{verdict}"
    assert verdict.figures["kills"] >= 12
    assert verdict.figures["acknowledged writes"] > 50

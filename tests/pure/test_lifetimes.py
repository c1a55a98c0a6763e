"""When a token is refreshed, and how long it is good."""

from __future__ import annotations

import pytest

from httpproxy.exchange.tokens.lifetimes import Lifetime, pause_after, refresh_in


@pytest.mark.parametrize(
    ("life", "due"),
    [
        (3600.0, 2880.0),  # Airtable's hour: with twelve minutes left
        (1800.0, 1440.0),  # HubSpot's half hour
        (900.0, 600.0),  # five minutes are more than a fifth
        (10.0, 5.0),  # and never in the first half
        (0.0, 0.0),
    ],
)
def test_a_token_is_refreshed_ahead_of_its_end(life: float, due: float):
    assert refresh_in(life) == pytest.approx(due)


def test_a_token_whose_life_nobody_knows_is_refreshed_at_once():
    assert refresh_in(None) == 0.0


def test_a_refresh_that_fails_is_tried_less_and_less_often_but_for_ever():
    pauses = [pause_after(failures) for failures in range(1, 12)]
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert pauses[-1] == pauses[-2] == 300.0
    assert pause_after(10_000) == 300.0


def test_a_token_is_good_until_a_call_would_come_too_late():
    life = Lifetime.counted(100.0, remaining=60.0, due=20.0)
    assert life.is_good(158.9)
    assert not life.is_good(159.1)
    assert not life.is_due(119.9)
    assert life.is_due(120.0)


def test_a_token_without_an_end_is_good_for_ever_and_never_due():
    life = Lifetime.counted(100.0, remaining=None, due=None)
    assert life.is_good(1e12)
    assert not life.is_due(1e12)

"""Several budgets in one: each of them is kept, in every window, by whoever keeps the one."""

from __future__ import annotations

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpproxy.upstream.budgets import strictest
from providers.spec import Budget


def rate(requests: int, interval: float, at_once: int = 0) -> Budget:
    return Budget("standard", requests, interval, at_once)


@pytest.mark.parametrize(
    ("budgets", "one"),
    [
        ([rate(5, 1)], rate(5, 1)),
        ([rate(5, 1), rate(3, 1)], rate(3, 1)),
        ([rate(5, 1), rate(100, 10)], rate(5, 1)),
        ([rate(150, 1), rate(100, 10)], rate(100, 10)),
        ([rate(15, 1), rate(100, 10)], rate(10, 1)),
        ([rate(15, 1), rate(12, 10)], rate(12, 10)),
        ([rate(15, 1), rate(9, 10)], rate(9, 10)),
        ([rate(100, 10), rate(190, 10), rate(50, 10)], rate(50, 10)),
        ([rate(5, 1, 2), rate(9, 1), rate(9, 1, 1)], rate(5, 1, 1)),
    ],
)
def test_the_strictest_of_budgets_keeps_all_and_allows_what_it_can(budgets, one):
    assert strictest(budgets) == one
    assert strictest(reversed(budgets)) == one


whole = st.integers(1, 200)


@given(st.lists(st.builds(rate, whole, whole), min_size=1, max_size=4))
def test_whoever_keeps_the_strictest_keeps_each_of_them(budgets):
    one = strictest(budgets)
    assert one.allowed_requests >= 1
    for each in budgets:
        # The busiest window there can be: bursts of the whole budget, as early as may be.
        bursts = floor((each.interval - 1) / one.interval) + 1
        assert bursts * one.allowed_requests <= each.allowed_requests

"""Random loads against the lane, with the API's own count of every window."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lane_model import Account, Call, Pause, busiest_window

from httpproxy.upstream.lane import Priority
from providers.spec import Budget

BUDGETS = st.builds(
    Budget,
    name=st.just("standard"),
    allowed_requests=st.integers(1, 6),
    interval=st.integers(1, 40),
    max_concurrent_requests=st.sampled_from([0, 0, 1, 2, 5]),
)
CALLS = st.lists(
    st.builds(
        Call,
        at=st.integers(0, 120),
        priority=st.sampled_from(list(Priority)),
        latency=st.integers(0, 60),
        seen=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
        patience=st.one_of(st.none(), st.integers(0, 50)),
        sent=st.sampled_from([True, True, True, False]),
    ),
    max_size=60,
)
PAUSES = st.lists(
    st.builds(Pause, at=st.integers(0, 150), length=st.integers(0, 60)), max_size=4
)
FLOORS = st.sampled_from([0.0, 0.1, 0.25, 0.5])
SETTINGS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@SETTINGS
@given(budget=BUDGETS, calls=CALLS, pauses=PAUSES, floor=FLOORS)
def test_the_api_never_sees_more_than_the_budget_in_any_window(
    budget: Budget, calls: list[Call], pauses: list[Pause], floor: float
) -> None:
    # Work conservation, turns, floor, cap and wake-up times are asserted by the model
    # after every single decision.
    account = Account(budget, floor)
    account.run(calls, tuple(pauses))
    assert busiest_window(account.seen, budget.interval) <= budget.allowed_requests
    assert len(account.order) + len(account.expired) == len(calls)


@SETTINGS
@given(
    budget=BUDGETS,
    latencies=st.lists(
        st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=30, max_size=60
    ),
)
def test_a_queue_that_never_empties_keeps_every_window_within_the_budget(
    budget: Budget, latencies: list[tuple[int, float]]
) -> None:
    account = Account(budget)
    account.run([Call(0, Priority.BACKFILL, latency, seen) for latency, seen in latencies])
    assert busiest_window(account.seen, budget.interval) <= budget.allowed_requests
    assert len(account.seen) == len(latencies)


@SETTINGS
@given(budget=BUDGETS, calls=CALLS, pauses=PAUSES)
def test_no_call_is_granted_during_a_pause(
    budget: Budget, calls: list[Call], pauses: list[Pause]
) -> None:
    account = Account(budget)
    account.run(calls, tuple(pauses))
    for call in account.order:
        at = account.granted_at[id(call)]
        assert not any(p.at < at < p.at + p.length for p in pauses)

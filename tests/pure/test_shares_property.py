"""Random loads over several processes that share one limit, with the API's own count."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shares_model import Blow, Call, House, Wire, busiest

from httpproxy.upstream.lane import Priority
from providers.spec import Budget

MEMBERS = 3
BUDGETS = st.builds(
    Budget,
    name=st.just("standard"),
    allowed_requests=st.integers(1, 12),
    interval=st.sampled_from([0.3, 1.0]),
    max_concurrent_requests=st.sampled_from([0, 0, 1, 2, 5]),
)
CALLS = st.lists(
    st.builds(
        Call,
        at=st.floats(0, 4),
        member=st.integers(0, MEMBERS - 1),
        priority=st.sampled_from(list(Priority)),
        latency=st.floats(0, 0.6),
        seen=st.floats(0, 1),
    ),
    max_size=80,
)
BLOWS = st.lists(
    st.builds(
        Blow,
        at=st.floats(0, 5),
        member=st.integers(0, MEMBERS - 1),
        length=st.sampled_from([0.2, 0.9, 1.5, 2.5, float("inf")]),
    ),
    max_size=3,
)
SOUND = Wire(0.002, 0.002)
WIRES = st.lists(
    st.one_of(
        st.just(SOUND),
        st.builds(
            Wire,
            there=st.sampled_from([0.0, 0.01, 0.3, 0.7, 1.6, float("inf")]),
            back=st.sampled_from([0.0, 0.01, 0.3, 0.7, float("inf")]),
        ),
    ),
    max_size=30,
)
OFFSETS = st.lists(st.sampled_from([0.0, -3.5, 40_000_000.0]), min_size=3, max_size=3)
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@SETTINGS
@given(budget=BUDGETS, calls=CALLS, blows=BLOWS, wires=WIRES, offsets=OFFSETS)
def test_whatever_is_lost_late_stopped_or_killed_no_window_is_too_full(
    budget: Budget,
    calls: list[Call],
    blows: list[Blow],
    wires: list[Wire],
    offsets: list[float],
) -> None:
    # That no lane has a slot which the database does not have for it is asserted by the
    # model after every event.
    house = House(budget, MEMBERS, itertools.chain(wires, itertools.repeat(SOUND)), offsets)
    house.run(calls, blows, until=9.0)
    assert busiest(house.seen, budget.interval) <= budget.allowed_requests


@settings(SETTINGS, max_examples=25)
@given(budget=BUDGETS, calls=CALLS, wires=WIRES)
def test_every_caller_is_served_in_the_end(
    budget: Budget, calls: list[Call], wires: list[Wire]
) -> None:
    house = House(
        budget, MEMBERS, itertools.chain(wires, itertools.repeat(SOUND)), [0.0] * MEMBERS
    )
    calls = calls[:20]
    house.run(calls, [], until=100.0)
    assert len(house.served) == len(calls)
    assert busiest(house.seen, budget.interval) <= budget.allowed_requests


@settings(SETTINGS, max_examples=20)
@given(calls=st.lists(st.floats(0, 5), min_size=1, max_size=10))
def test_a_write_passes_a_backfill_of_another_process(calls: list[float]) -> None:
    backfill = [Call(0, 0, Priority.BACKFILL, 0.05, 0.5) for _ in range(150)]
    writes = [Call(at, 1, Priority.WRITE, 0.05, 0.5) for at in calls]
    house = House(Budget("standard", 5, 1.0), 2, itertools.repeat(SOUND), [0.0, 0.0])
    house.run([*backfill, *writes], [], until=12.0)
    waits = [at - call.at for at, call in house.served if call.priority is Priority.WRITE]
    assert len(waits) == len(calls)
    assert max(waits) < 2.5 + len(calls) / 5
    assert busiest(house.seen, 1.0) <= 5

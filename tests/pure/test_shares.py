"""How slots are shared out: sums, classes, fairness, floor, and that it holds still."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from httpproxy.sharing.shares import SPARED_FROM, Limit, Wants, apportion
from httpproxy.upstream.lane import BACKGROUND, Priority

CLASSES = len(Priority)
WANTS = st.dictionaries(
    st.integers(1, 9),
    st.lists(st.integers(0, 30), min_size=CLASSES, max_size=CLASSES).map(tuple),
    min_size=1,
    max_size=6,
)
LIMITS = st.builds(
    Limit,
    slots=st.integers(1, 120),
    concurrent=st.sampled_from([0, 0, 0, 1, 2, 3, 7, 50, 500]),
    floor=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    turn=st.integers(0, 1000),
)
SETTINGS = settings(max_examples=500, deadline=None)


def wanting(**classes: int) -> Wants:
    return tuple(classes.get(p.name.lower(), 0) for p in Priority)


@SETTINGS
@given(limit=LIMITS, wants=WANTS)
def test_no_more_is_given_than_there_is_and_the_same_is_given_for_the_same(
    limit: Limit, wants: dict[int, Wants]
) -> None:
    shares = apportion(limit, wants)
    assert set(shares) == set(wants)
    assert min(shares.values()) >= 0
    assert sum(shares.values()) <= limit.slots
    backwards = dict(reversed(wants.items()))
    assert apportion(limit, backwards) == shares
    assert all(shares[p] == 0 for p, want in wants.items() if not any(want))


@SETTINGS
@given(limit=LIMITS, wants=WANTS)
def test_nothing_is_left_lying_while_somebody_wants_it_but_the_one_slot_for_writes(
    limit: Limit, wants: dict[int, Wants]
) -> None:
    limit = limit._replace(concurrent=0)
    shares = apportion(limit, wants)
    spare = limit.slots - sum(shares.values())
    short = [p for p, want in wants.items() if shares[p] < sum(want)]
    assert not short or spare <= (limit.slots >= SPARED_FROM and len(wants) > 1)


@SETTINGS
@given(limit=LIMITS, wants=WANTS)
def test_the_more_urgent_class_is_served_first_everywhere_and_evenly(
    limit: Limit, wants: dict[int, Wants]
) -> None:
    shares = apportion(limit._replace(concurrent=0, floor=0.0), wants)
    for priority in range(BACKGROUND):
        above = {p: sum(w[:priority]) for p, w in wants.items()}
        short = [p for p, w in wants.items() if shares[p] < above[p] + w[priority]]
        if short:
            got = {p: shares[p] - above[p] for p in wants}
            least = min(got[p] for p in short)
            assert least >= 0, "a less urgent class was served"
            assert all(got[p] <= least + 1 for p, w in wants.items() if w[priority])
            assert all(got[p] == 0 for p, w in wants.items() if not w[priority])
            return


@SETTINGS
@given(limit=LIMITS, wants=WANTS)
def test_who_has_only_less_urgent_work_is_left_the_floor(
    limit: Limit, wants: dict[int, Wants]
) -> None:
    limit = limit._replace(concurrent=0)
    first = {p: next(i for i, n in enumerate(w) if n) for p, w in wants.items() if any(w)}
    passed = [p for p, i in first.items() if i != min(first.values())]
    shares = apportion(limit, wants)
    exact = limit.slots * limit.floor
    if passed and exact >= 1:
        wanted = sum(sum(wants[p]) for p in passed)
        assert sum(shares[p] for p in passed) >= min(int(exact), wanted)
    if passed and 0 < exact < 1:
        turns = [apportion(limit._replace(turn=t), wants) for t in range(round(1 / exact))]
        assert any(sum(shares[p] for p in passed) >= 1 for shares in turns)


@SETTINGS
@given(limit=LIMITS, wants=WANTS)
def test_under_a_cap_who_is_to_call_may_call(limit: Limit, wants: dict[int, Wants]) -> None:
    shares = apportion(limit, wants)
    if limit.concurrent:
        caps = {p: limit.concurrent * s // limit.slots for p, s in shares.items() if s}
        assert all(cap >= 1 for cap in caps.values())
        assert sum(caps.values()) <= limit.concurrent


@settings(max_examples=60, deadline=None)
@given(limit=LIMITS, wants=WANTS)
@example(  # three lots for four writers, and the floor's part is nearly a lot
    Limit(9, concurrent=3, floor=0.25), {p: wanting(write=1) for p in (1, 2, 3, 4)}
)
@example(
    Limit(9, concurrent=3, floor=0.25),
    {**{p: wanting(write=1) for p in (1, 2, 3, 4)}, 5: wanting(backfill=9)},
)
@example(  # those with less urgent work have their part, but one of them has all of it
    Limit(11, floor=0.5), {1: (0, 9, 9, 0, 0), 2: (0, 1, 1, 0, 0), 3: wanting(write=1)}
)
def test_nobody_waits_for_ever_where_there_are_fewer_slots_than_processes(
    limit: Limit, wants: dict[int, Wants]
) -> None:
    top = {p: w for p, w in wants.items() if w[Priority.WRITE]}
    got = dict.fromkeys(top, 0)
    for turn in range(150):
        for process, share in apportion(limit._replace(turn=turn), wants).items():
            if process in got:
                got[process] += share
    assert all(got.values())


def test_a_write_elsewhere_takes_from_a_backfill_what_it_needs_and_the_rest_stays() -> None:
    shares = apportion(Limit(5), {1: wanting(backfill=9), 2: wanting(write=2)})
    assert shares == {1: 3, 2: 2}
    assert apportion(Limit(5), {1: wanting(backfill=9), 2: wanting()}) == {1: 5, 2: 0}


def test_writes_everywhere_leave_a_backfill_one_slot_in_ten() -> None:
    busy = {1: wanting(backfill=99), 2: wanting(write=200), 3: wanting(write=200)}
    assert apportion(Limit(100), busy) == {1: 10, 2: 45, 3: 45}


def test_of_three_slots_a_backfill_has_one_in_three_turns_of_ten() -> None:
    busy = {1: wanting(backfill=99), 2: wanting(write=200)}
    shares = [apportion(Limit(3, turn=turn), busy)[1] for turn in range(12)]
    assert shares == [1, 0, 0] * 4


def test_the_sync_leaves_one_slot_of_ten_or_more_for_a_write_that_may_come() -> None:
    busy = {1: wanting(backfill=300), 2: wanting()}
    assert apportion(Limit(100), busy)[1] == 99
    assert apportion(Limit(9), busy)[1] == 9
    assert apportion(Limit(100), {1: wanting(backfill=300)})[1] == 100, "who is alone"
    assert apportion(Limit(100), {1: wanting(read=300), 2: wanting()})[1] == 100


def test_what_nobody_wants_is_at_hand_for_those_who_call_and_partly_for_others() -> None:
    assert apportion(Limit(100), {1: wanting(write=10), 2: wanting(read=30), 3: wanting()}) == {
        1: 30, 2: 50, 3: 0,
    }  # fmt: skip


def test_slots_that_make_no_lot_go_to_who_has_all_the_others() -> None:
    assert apportion(Limit(100, concurrent=3), {1: wanting(write=100)}) == {1: 100}
    both = {1: wanting(write=100), 2: wanting(write=100)}
    assert apportion(Limit(100, concurrent=3), both) == {1: 34, 2: 34}
    three = {**both, 3: wanting(write=100)}
    turns = [apportion(Limit(100, 2, turn=turn), three) for turn in range(3)]
    assert [sorted(p for p, share in one.items() if share) for one in turns] == [
        [1, 2], [2, 3], [1, 3],
    ]  # fmt: skip

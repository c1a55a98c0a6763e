"""The lane's promises one by one, on a clock that the test holds."""

from __future__ import annotations

import sys

import pytest
from lane_model import Account, Call, busiest_window

from httpproxy.upstream.lane import Lane, Priority
from providers.spec import Budget

FIVE = Budget("standard", 5, 1.0)


def granted(lane: Lane, now: float) -> list[object]:
    return [ticket.waiter for ticket in lane.decide(now).granted]


def test_a_burst_of_the_whole_budget_goes_at_once_and_the_next_one_waits() -> None:
    lane = Lane(FIVE)
    assert [lane.take(0.0, Priority.WRITE) for _ in range(6)] == [True] * 5 + [False]


def test_a_slot_comes_back_one_interval_after_the_answer_ended_and_not_before() -> None:
    lane = Lane(Budget("standard", 1, 1.0))
    assert lane.take(0.0, Priority.WRITE)
    lane.join(Priority.WRITE, "next")
    assert lane.decide(5.0).wake_at is None  # the call may be seen only now
    lane.release(5.0)
    assert lane.decide(5.0) == ([], 6.0)
    assert granted(lane, 5.999) == []
    assert granted(lane, 6.0) == ["next"]


def test_the_api_seeing_calls_late_cannot_make_a_window_too_full() -> None:
    # The first ones are seen at their very end, those after them at once: a limiter
    # that counts from the grant lets nearly twice the budget meet.
    account = Account(Budget("standard", 5, 100.0))
    slow = [Call(0, Priority.READ, 90, 1.0) for _ in range(5)]
    quick = [Call(0, Priority.READ, 0, 0.0) for _ in range(20)]
    account.run(slow + quick)
    assert busiest_window(account.seen, 100) == 5


def test_a_call_that_never_left_frees_its_slot_at_once() -> None:
    lane = Lane(Budget("standard", 1, 1.0))
    assert lane.take(0.0, Priority.WRITE)
    lane.join(Priority.WRITE, "next")
    lane.withdraw()
    assert granted(lane, 0.0) == ["next"]


def test_classes_go_in_order_and_first_come_first_served_within_one() -> None:
    lane = Lane(FIVE, floor=0)
    lane.pause(1.0)
    for priority in reversed(Priority):
        for name in ("first", "second"):
            lane.join(priority, (priority, name))
    served = []
    for now in range(1, 12):
        for who in granted(lane, float(now)):
            served.append(who)
            lane.release(float(now))
    assert served == [(p, name) for p in Priority for name in ("first", "second")]


LOWER = list(Priority)[1:]


@pytest.mark.parametrize(
    "queued", [[Priority.BACKFILL], [Priority.READ, Priority.BACKFILL], LOWER], ids=len
)
def test_17000_queued_requests_of_the_sync_delay_a_write_by_at_most_one_permit(
    queued: list[Priority],
) -> None:
    for writes_before in range(12):
        lane = Lane(Budget("standard", 1, 1.0))
        assert lane.take(0.0, Priority.WRITE)
        for number in range(17_000):
            lane.join(queued[number % len(queued)], number)
        now = 0.0
        for _ in range(writes_before):  # whatever the floor is owed from before
            lane.join(Priority.WRITE, "earlier")
            lane.release(now)
            now += 1.0
            lane.decide(now)
        lane.join(Priority.WRITE, "write")
        served: list[object] = []
        while "write" not in served:
            lane.release(now)
            now += 1.0
            served += granted(lane, now)
        before = [who for who in served if who not in ("write", "earlier")]
        assert len(before) <= 1


def test_a_queue_of_writes_gives_one_place_in_ten_to_17000_others_and_no_more() -> None:
    lane = Lane(FIVE)
    lane.pause(1.0)
    for number in range(17_000):
        lane.join(LOWER[number % len(LOWER)], number)
    for _ in range(90):
        lane.join(Priority.WRITE, "write")
    served: list[object] = []
    now = 1.0
    while served.count("write") < 90:
        for who in granted(lane, now):
            served.append(who)
            lane.release(now)
        now += 1.0
    others = [at for at, who in enumerate(served[:99]) if who != "write"]
    assert others == list(range(9, 99, 10))


def test_17000_who_waited_for_a_pause_to_end_go_in_order_and_at_the_rate() -> None:
    lane = Lane(FIVE)
    for number in range(17_000):
        lane.join(Priority.BACKFILL, number)
    lane.pause(30.0)
    late = lane.join(Priority.WRITE, "write")
    assert lane.decide(29.999) == ([], 30.0)
    served: list[object] = []
    times: list[float] = []
    for tick in range(20 * 20):
        now = 30.0 + tick / 20
        for who in granted(lane, now):
            served.append(who)
            times.append(now)
            lane.release(now)
    assert served[0] == "write"
    assert served[1:] == list(range(len(served) - 1))
    assert 98 <= len(served) <= 100  # all that is allowed in 20 s, and no more
    assert busiest_window(times, 1.0) <= 5
    assert not lane.leave(late)


def test_the_sync_spreads_what_it_uses_so_that_a_write_waits_for_a_slot_and_not_a_window() -> (
    None
):
    """HubSpot's hundred in ten seconds: a burst would leave a write nothing for ten."""
    lane = Lane(Budget("standard", 100, 10_000))
    for number in range(17_000):
        lane.join(Priority.BACKFILL, number)
    waits: list[int] = []
    times: list[float] = []
    asked: int | None = None
    for now in range(0, 60_000, 10):  # milliseconds
        if asked is None and now > 12_000 and now % 1370 == 0:
            lane.join(Priority.WRITE, "write")
            asked = now
        for who in granted(lane, now):
            times.append(now)
            lane.release(now)
            if who == "write" and asked is not None:
                waits.append(now - asked)
                asked = None
    assert len(waits) > 10
    assert max(waits) <= 110
    assert busiest_window(times, 10_000) <= 100
    assert sum(20_000 <= at < 60_000 for at in times) >= 396, "all of the allotment is used"


def test_a_call_of_the_sync_that_came_late_is_made_up_for_and_no_more() -> None:
    lane = Lane(FIVE)
    assert lane.take(0.0, Priority.BACKFILL)
    assert lane.take(0.0, Priority.BACKFILL), "after a rest one may follow at once"
    assert not lane.take(0.0, Priority.INCREMENTAL)
    assert not lane.take(0.19, Priority.REREAD)
    assert lane.take(0.19, Priority.READ), "what the application asks for is not spread"
    assert lane.take(0.25, Priority.REREAD)
    assert not lane.take(0.39, Priority.REREAD)
    assert lane.take(0.4, Priority.REREAD), "0.05 s late, and no later for it"


def test_the_sync_s_wait_is_told_with_its_spread() -> None:
    lane = Lane(FIVE)
    lane.take(0.0, Priority.BACKFILL)
    lane.take(0.0, Priority.BACKFILL)
    for _ in range(2):
        lane.join(Priority.BACKFILL)
    assert lane.decide(0.0) == ([], pytest.approx(0.2))
    assert lane.expected_wait(Priority.BACKFILL, 0.0) == pytest.approx(0.6)
    assert lane.expected_wait(Priority.READ, 0.0) == 0.0


def test_under_constant_writes_every_lower_class_still_gets_its_part() -> None:
    lane = Lane(Budget("standard", 1, 1.0), floor=0.1)
    lane.take(0.0, Priority.WRITE)
    for priority in list(Priority)[1:]:
        for _ in range(50):
            lane.join(priority, priority)
    lane.join(Priority.WRITE, Priority.WRITE)
    served = []
    for now in range(400):
        lane.release(float(now))
        lane.join(Priority.WRITE, Priority.WRITE)
        served += granted(lane, float(now + 1))
    assert {p: served.count(p) for p in Priority} == {
        Priority.WRITE: 360, Priority.READ: 10, Priority.REREAD: 10,
        Priority.INCREMENTAL: 10, Priority.BACKFILL: 10,
    }  # fmt: skip


def test_without_a_floor_the_more_urgent_always_go_first() -> None:
    lane = Lane(Budget("standard", 1, 1.0), floor=0)
    lane.take(0.0, Priority.WRITE)
    lane.join(Priority.BACKFILL, "backfill")
    served = []
    for now in range(100):
        lane.join(Priority.WRITE, "write")
        lane.release(float(now))
        served += granted(lane, float(now + 1))
    assert served == ["write"] * 100


@pytest.mark.parametrize("floor", [-0.1, 0.6])
def test_a_floor_that_would_turn_the_order_around_is_refused(floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        Lane(FIVE, floor)


def test_no_more_calls_run_at_once_than_the_cap_allows() -> None:
    lane = Lane(Budget("standard", 100, 1.0, max_concurrent_requests=2))
    for number in range(4):
        lane.join(Priority.READ, number)
    assert granted(lane, 0.0) == [0, 1]
    assert lane.decide(50.0) == ([], None)  # only the end of a call can help
    lane.release(50.0)
    assert granted(lane, 50.0) == [2]


def test_a_pause_holds_everybody_and_is_only_ever_prolonged() -> None:
    lane = Lane(FIVE)
    lane.pause(30.0)
    lane.pause(10.0)
    assert not lane.take(29.9, Priority.WRITE)
    lane.join(Priority.WRITE, "write")
    assert lane.decide(29.9) == ([], 30.0)
    assert granted(lane, 30.0) == ["write"]


def test_who_gives_up_waiting_is_passed_over_and_keeps_no_place() -> None:
    lane = Lane(Budget("standard", 1, 1.0))
    lane.take(0.0, Priority.WRITE)
    tickets = [lane.join(Priority.READ, number) for number in range(3)]
    assert lane.leave(tickets[0])
    assert not lane.leave(tickets[0])
    lane.withdraw()
    assert granted(lane, 0.0) == [1]
    assert not lane.leave(tickets[1])
    assert lane.waiting() == 1


def test_a_newcomer_does_not_pass_those_who_wait_for_a_permit_that_is_due() -> None:
    lane = Lane(Budget("standard", 1, 1.0))
    lane.take(0.0, Priority.WRITE)
    lane.release(0.0)
    lane.join(Priority.BACKFILL, "waiting")
    assert not lane.take(1.0, Priority.WRITE)  # due, but not yet handed out
    assert granted(lane, 1.0) == ["waiting"]


def test_a_smaller_budget_holds_for_the_very_next_grant() -> None:
    lane = Lane(FIVE)
    for _ in range(5):
        lane.take(0.0, Priority.WRITE)
    lane.join(Priority.READ, "next")
    lane.reconfigure(Budget("standard", 2, 1.0))
    for now in (0.1, 0.2, 0.3, 0.4, 0.5):
        lane.release(now)
    assert lane.decide(0.5) == ([], 1.4)  # until only one of the five still counts
    assert granted(lane, 1.39) == []
    assert granted(lane, 1.4) == ["next"]


def test_a_larger_budget_lets_waiters_go_at_once() -> None:
    lane = Lane(Budget("standard", 1, 1.0))
    lane.take(0.0, Priority.WRITE)
    lane.join(Priority.READ, "next")
    lane.reconfigure(FIVE)
    assert granted(lane, 0.0) == ["next"]


@pytest.mark.parametrize(("requests", "interval"), [(0, 1.0), (-1, 1.0), (5, 0.0)])
def test_a_budget_that_would_never_grant_is_refused(requests: int, interval: float) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Lane(Budget("standard", requests, interval))


def test_the_expected_wait_counts_the_queue_the_slots_and_the_pause() -> None:
    lane = Lane(Budget("standard", 2, 10.0))
    assert lane.expected_wait(Priority.WRITE, 0.0) == 0.0
    lane.take(0.0, Priority.WRITE)
    lane.take(0.0, Priority.WRITE)
    lane.release(1.0)
    assert lane.expected_wait(Priority.WRITE, 1.0) == 10.0
    for _ in range(4):
        lane.join(Priority.READ)
    assert lane.ahead(Priority.WRITE) == 0
    assert lane.ahead(Priority.BACKFILL) == 4
    assert lane.expected_wait(Priority.WRITE, 6.0) == 5.0
    assert lane.expected_wait(Priority.BACKFILL, 6.0) == 25.0
    lane.pause(100.0)
    assert lane.expected_wait(Priority.WRITE, 6.0) == 94.0


def test_a_lane_is_idle_when_a_new_one_would_behave_the_same() -> None:
    lane = Lane(FIVE)
    assert lane.idle(0.0)
    lane.take(0.0, Priority.WRITE)
    assert not lane.idle(100.0)
    lane.release(100.0)
    assert not lane.idle(100.9)
    assert lane.idle(101.0)
    lane.pause(200.0)
    assert not lane.idle(101.0)
    ticket = lane.join(Priority.READ)
    assert not lane.idle(300.0)
    lane.leave(ticket)
    assert lane.idle(300.0)


def test_a_waiter_costs_little_memory_and_a_repr_tells_the_state() -> None:
    lane = Lane(FIVE)
    ticket = lane.join(Priority.WRITE)
    assert sys.getsizeof(ticket) <= 64
    assert repr(ticket) == "Ticket(WRITE)"
    assert repr(lane) == "Lane(5/1s held=0 cooling=0 waiting=1)"


# A lane that shares its limit with others'.


def test_a_lane_without_slots_grants_nothing_and_says_that_others_may_give_it_some() -> None:
    lane = Lane(FIVE, slots=0)
    assert not lane.take(0.0, Priority.WRITE)
    lane.join(Priority.WRITE, "write")
    assert lane.decide(100.0) == ([], None)
    assert lane.not_before(100.0) == 100.0
    assert lane.expected_wait(Priority.WRITE, 100.0) == 2.0
    lane.resize(1)
    assert granted(lane, 100.0) == ["write"]


def test_only_free_slots_can_go_elsewhere_and_a_lane_knows_when_the_next_one_can() -> None:
    lane = Lane(FIVE)
    for now in (0.0, 0.1, 0.2):
        assert lane.take(now, Priority.WRITE)
    assert (lane.bound(0.2), lane.frees_at(0.2)) == (3, float("inf"))
    lane.release(0.3)
    assert (lane.bound(0.3), lane.frees_at(0.3)) == (3, 1.3)
    assert lane.bound(1.3) == 2
    lane.resize(2)
    assert not lane.take(1.3, Priority.WRITE)


def test_running_calls_keep_the_slots_that_their_part_of_the_cap_needs() -> None:
    lane = Lane(Budget("standard", 10, 1.0, max_concurrent_requests=2))
    lane.take(0.0, Priority.WRITE)
    assert lane.bound(0.0) == 5, "with fewer its part of the cap were none"
    lane.take(0.0, Priority.WRITE)
    assert lane.bound(0.0) == 10
    lane.release(0.1)
    lane.resize(5)
    assert not lane.take(0.2, Priority.WRITE), "one of the two may run here"
    lane.release(0.3)
    assert lane.take(0.4, Priority.WRITE)


def test_a_lane_wants_what_it_uses_and_what_is_waited_for_by_class() -> None:
    lane = Lane(Budget("standard", 2, 1.0))
    lane.take(0.0, Priority.WRITE)
    lane.take(0.0, Priority.READ)
    lane.join(Priority.WRITE)
    lane.join(Priority.BACKFILL)
    assert lane.wants(0.0) == (2, 1, 0, 0, 1)
    lane.release(0.5)
    lane.withdraw()
    assert sum(lane.wants(0.5)) == 3
    assert sum(lane.wants(1.5)) == 2


def test_the_sync_spreads_its_calls_over_the_slots_that_are_there() -> None:
    lane = Lane(Budget("standard", 10, 10.0), slots=2)
    assert lane.take(100.0, Priority.BACKFILL)
    assert lane.take(100.0, Priority.BACKFILL)
    lane.resize(5)
    assert not lane.take(101.9, Priority.BACKFILL)
    assert lane.take(102.0, Priority.BACKFILL), "of five slots one comes back every 2 s"

"""The agenda: what is due, in which order, and what wakes it."""

from hypothesis import given
from hypothesis import strategies as st

from httpproxy.sync.agenda import Agenda, Key

A = Key("sync_a", "listen", "base")
B = Key("sync_b", "list", "tblB")


def test_a_job_is_taken_when_it_is_due_and_not_before() -> None:
    agenda = Agenda()
    agenda.put(A, 10.0)
    assert agenda.take(9.9, 5) == []
    assert agenda.next_due() == 10.0
    assert agenda.take(10.0, 5) == [A]


def test_a_job_that_runs_is_not_taken_twice() -> None:
    agenda = Agenda()
    agenda.put(A, 0.0)
    assert agenda.take(0.0, 5) == [A]
    agenda.put(A, 0.0)
    assert agenda.take(1.0, 5) == []
    assert agenda.next_due() is None


def test_a_job_goes_again_after_the_time_it_asked_for() -> None:
    agenda = Agenda()
    agenda.put(A, 0.0)
    agenda.take(0.0, 5)
    agenda.done(A, 2.0, 30.0)
    assert agenda.take(31.9, 5) == []
    assert agenda.take(32.0, 5) == [A]


def test_a_job_that_asked_for_nothing_waits_until_it_is_woken() -> None:
    agenda = Agenda()
    agenda.put(A, 0.0)
    agenda.take(0.0, 5)
    agenda.done(A, 1.0, None)
    assert agenda.next_due() is None
    agenda.wake(A, 5.0)
    assert agenda.take(5.0, 5) == [A]


def test_a_job_woken_while_it_runs_goes_once_more_at_once() -> None:
    agenda = Agenda()
    agenda.put(A, 0.0)
    agenda.take(0.0, 5)
    agenda.wake(A, 1.0)
    agenda.wake(A, 1.5)
    agenda.done(A, 2.0, 600.0)
    assert agenda.take(2.0, 5) == [A]
    agenda.done(A, 3.0, 600.0)
    assert agenda.take(4.0, 5) == []


def test_waking_brings_a_job_forward_and_never_puts_it_off() -> None:
    agenda = Agenda()
    agenda.put(A, 100.0)
    agenda.wake(A, 7.0)
    agenda.wake(A, 9.0)
    assert agenda.next_due() == 7.0
    assert agenda.take(100.0, 5) == [A]
    assert agenda.take(100.0, 5) == []


def test_no_more_jobs_are_taken_than_there_is_room_for() -> None:
    agenda = Agenda()
    agenda.put(A, 2.0)
    agenda.put(B, 1.0)
    assert agenda.take(5.0, 1) == [B]
    assert agenda.take(5.0, 0) == []
    assert agenda.take(5.0, 1) == [A]


def test_a_job_dropped_while_it_runs_does_not_come_back() -> None:
    agenda = Agenda()
    agenda.put(A, 0.0)
    agenda.put(B, 50.0)
    agenda.take(0.0, 5)
    agenda.drop([A, B])
    agenda.done(A, 1.0, 0.0)
    agenda.wake(B, 1.0)
    assert len(agenda) == 0
    assert agenda.take(100.0, 5) == []


def test_a_job_dropped_and_put_again_has_only_its_new_time() -> None:
    agenda = Agenda()
    agenda.put(A, 1.0)
    agenda.drop([A])
    agenda.put(A, 50.0)
    assert agenda.take(10.0, 5) == []
    assert agenda.keys("sync_a") == [A]
    assert A in agenda


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.floats(0, 100)), max_size=80)
)
def test_every_job_runs_at_most_once_at_a_time(steps: list[tuple[int, int, float]]) -> None:
    agenda, now, running = Agenda(), 0.0, set[Key]()
    for number, action, amount in steps:
        key = Key("s", "list", str(number))
        if action == 0:
            agenda.put(key, now + amount)
        elif action == 1:
            agenda.wake(key, now)
        elif action == 2:
            taken = agenda.take(now, 2)
            assert running.isdisjoint(taken)
            running.update(taken)
        elif running:
            ended = running.pop()
            agenda.done(ended, now, amount)
        now += amount / 10
    due = agenda.next_due()
    assert due is None or all(k not in running for k in agenda.take(due, 10))

"""Who has to go when there are too many connections."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from httpproxy.gateway.crowd import Crowd


@dataclass(eq=False)
class Guest:
    """A connection that only knows whether it is idle."""

    idle: bool = True


def test_nobody_goes_while_there_is_room() -> None:
    crowd = Crowd(3)
    assert [crowd.enter("a", Guest()) for _ in range(3)] == [None] * 3
    assert len(crowd) == 3


def test_an_idle_one_of_who_holds_most_goes_the_oldest_first() -> None:
    crowd, guests = Crowd(4), [Guest() for _ in range(4)]
    for address, guest in zip("abbb", guests, strict=True):
        crowd.enter(address, guest)
    guests[1].idle = False
    assert crowd.enter("c", Guest()) is guests[2]
    newest = Guest()
    assert crowd.enter("b", newest) is guests[3]
    assert len(crowd) == 4
    crowd.leave("b", newest)
    assert len(crowd) == 3


def test_who_holds_most_makes_room_for_itself() -> None:
    crowd, guests = Crowd(2), [Guest(), Guest()]
    for guest in guests:
        crowd.enter("a", guest)
    assert crowd.enter("a", Guest()) is guests[0]


def test_a_newcomer_is_turned_away_where_nobody_of_the_richest_is_idle() -> None:
    crowd = Crowd(2)
    for _ in range(2):
        crowd.enter("a", Guest(idle=False))
    newcomer = Guest()
    assert crowd.enter("b", newcomer) is newcomer
    crowd.leave("b", newcomer)  # it was never in
    assert len(crowd) == 2


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(("enter", "leave")), st.booleans()),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, most=st.integers(1, 6))
def test_there_are_never_too_many_and_the_one_that_goes_belongs_to_who_holds_most(
    steps: list[tuple[str, str, bool]], most: int
) -> None:
    crowd = Crowd(most)
    inside: list[tuple[str, Guest]] = []
    for address, step, idle in steps:
        if step == "leave":
            mine = [each for each in inside if each[0] == address]
            if mine:
                crowd.leave(*mine[0])
                inside.remove(mine[0])
        else:
            newcomer = Guest(idle)
            held = Counter(holder for holder, _ in inside)
            leaving = crowd.enter(address, newcomer)
            if leaving is not None and leaving is not newcomer:
                ((holder, _),) = [each for each in inside if each[1] is leaving]
                assert leaving.idle
                assert held[holder] == max(held.values())
                inside = [each for each in inside if each[1] is not leaving]
            if leaving is not newcomer:
                inside.append((address, newcomer))
        assert len(crowd) == len(inside) <= most

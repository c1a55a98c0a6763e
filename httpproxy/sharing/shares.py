"""How the slots of one limit are shared out among processes: who is to have how many.

Pure. Every process works it out for itself from what all have said in the database, and
gives back what is another's. Nothing strict hangs on it: two that see different things
move slots for nothing, and never hold one twice.

In order:

1. Classes, the most urgent first, as in a lane: what is left goes to the next class. Within
   one class the processes get the same, and nobody more than it wants; of a rest that does
   not go round the first ones get one more, and who has none takes turns.
2. The sync's classes leave one slot in ten or more free where several processes share, so
   that a write in any of them finds one at once.
3. The floor: who has only less urgent work than others is left a part of all slots, as in a
   lane. Where that part is less than a slot, it is a slot for a part of the time.
4. What nobody wants is divided as well, with a part that stays free for who comes: who has
   some in hand needs no word with the others for its next call.

Under a cap on concurrent calls slots are dealt in lots that are worth a call at once.
Turns are numbered by the database's clock, so that all see the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from httpproxy.upstream.lane import BACKGROUND, FLOOR, Priority

Wants: TypeAlias = tuple[int, ...]
Lots: TypeAlias = dict[int, int]

SPARED_FROM: Final = 10  # slots; of fewer, one is too much to leave free


class Limit(NamedTuple):
    """What is shared: `slots`, and a cap on calls at once (0: none); whose `turn` it is."""

    slots: int
    concurrent: int = 0
    floor: float = FLOOR
    turn: int = 0


def apportion(limit: Limit, wants: Mapping[int, Wants]) -> dict[int, int]:
    """The slots that each process is to have; together no more than there are.

    `wants` are, by process, the slots that it uses and waits for by class (`Priority`).
    """
    lot = -(-limit.slots // limit.concurrent) if limit.concurrent else 1
    lot = max(1, min(lot, limit.slots))
    lots = limit.slots // lot
    wanted = {process: _in_lots(wants[process], lot) for process in sorted(wants)}
    exact = lots * limit.floor
    every = round(1 / exact) if 0 < exact < 1 else 0  # one turn in so many is the floor's
    # The floor's turns are no turns of the others, unless all are.
    turn = limit.turn - limit.turn // every if every > 1 else limit.turn
    given = _by_class(lots, wanted, turn)
    if not every:
        _keep_floor(given, lots, wanted, int(exact), turn)
    elif limit.turn % every == 0:
        _keep_floor(given, lots, wanted, 1, limit.turn // every)
    _deal_rest(given, lots, wanted)
    slots = {process: count * lot for process, count in given.items()}
    for process, count in given.items():
        if count == lots:  # the slots that make no lot are whose all the lots are
            slots[process] = limit.slots
    return slots


def _in_lots(wants: Wants, lot: int) -> Wants:
    """Wants in lots: the rest of a lot serves the next class."""
    if lot == 1:
        return wants
    total, before, counts = 0, 0, []
    for want in wants:
        total += want
        lots = -(-total // lot)
        counts.append(lots - before)
        before = lots
    return tuple(counts)


def _by_class(lots: int, wanted: Mapping[int, Wants], turn: int) -> Lots:
    given = dict.fromkeys(wanted, 0)
    left = lots
    spare = 1 if len(wanted) > 1 and lots >= SPARED_FROM else 0
    for priority in Priority:
        if priority == BACKGROUND:
            left -= spare
        asked = {process: wants[priority] for process, wants in wanted.items()}
        for process, count in _fairly(max(0, left), asked, turn).items():
            given[process] += count
            left -= count
    return given


def _fairly(lots: int, asked: Mapping[int, int], turn: int) -> Lots:
    """The same for all, and for none more than it asked for. Who gets nothing by that,
    because there are fewer than askers, does in another turn."""
    given: Lots = {}
    still = {process: count for process, count in asked.items() if count > 0}
    while still and lots >= len(still):
        level = min(lots // len(still), *still.values())
        for process in list(still):
            given[process] = given.get(process, 0) + level
            still[process] -= level
            if not still[process]:
                del still[process]
            lots -= level
    first = 0 if not still or given.get(next(iter(still))) else turn % len(still)
    order = list(still)
    for process in (order[first:] + order[:first])[:lots]:
        given[process] = given.get(process, 0) + 1
    return given


def _keep_floor(
    given: Lots, lots: int, wanted: Mapping[int, Wants], part: int, turn: int
) -> None:
    """Leaves those who have only less urgent work than others a part of all lots. Who of
    them has more than its share of that part gives to the rest of them first."""
    urgent = {process: _most_urgent(wants) for process, wants in wanted.items() if any(wants)}
    top = min(urgent.values(), default=None)
    passed = {p: sum(wanted[p]) for p, first in urgent.items() if first != top}
    first_served = [process for process in urgent if process not in passed]
    # The largest gives; equal ones take turns.
    places = {p: (n + turn) % len(urgent) for n, p in enumerate(first_served)}
    floor = {**dict.fromkeys(passed, 0), **_fairly(part, passed, turn)}
    for process, count in floor.items():
        while given[process] < count:
            if sum(given.values()) >= lots:
                giver = max(passed, key=lambda p: given[p] - floor[p])
                if given[giver] <= floor[giver]:
                    giver = max(first_served, key=lambda p: (given[p], places[p]))
                if not given[giver]:
                    return
                given[giver] -= 1
            given[process] += 1


def _most_urgent(wants: Wants) -> int:
    return next(priority for priority, want in enumerate(wants) if want)


def _deal_rest(given: Lots, lots: int, wanted: Mapping[int, Wants]) -> None:
    active = [process for process, wants in wanted.items() if any(wants)]
    each = (lots - sum(given.values())) // (len(active) + 1)
    for process in active:
        given[process] += each

"""What is written together: a group, as statements. Pure but for the futures it carries.

A group's statements stand in this order, so that a key that is freed can be claimed again
at once, and so that every writer holds intents before keys:

    end, free, doubt, answer     intents that were begun before
    claim, begin                 new ones
    withdraw, won                of those with a key: the ones whose key was taken; the others
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from httpproxy.store.intents.columns import BYTEA, TEXT, Columns, array, numbers, text

Step = tuple[str, Sequence[bytes]]  # a statement's name and its parameters
Answer = tuple[bytes, bytes]  # head and body


@dataclass(slots=True, eq=False)
class Begun:
    """An intent that is to be written. The future tells whether it was: not if its key is
    another's. `sent`: it has left once, and may have been written."""

    id: int
    columns: Columns
    written: asyncio.Future[bool]
    sent: bool = False
    tries: int = 0


@dataclass(slots=True)
class Group:
    """What goes in one transaction.

    ends      ids of intents that leave nothing to be told
    answered  ids of intents that end, with what is told for their keys
    doubts    ids of uncertain intents, why, and what is told for their keys, if anything
    """

    begins: list[Begun] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    answered: list[tuple[int, Answer]] = field(default_factory=list)
    doubts: list[tuple[int, str, Answer | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.begins) + len(self.ends) + len(self.answered) + len(self.doubts)

    def alone(self) -> Iterator[Group]:
        """One by one: somewhere in the group is what the database does not take."""
        yield from (Group(ends=[each]) for each in self.ends)
        yield from (Group(answered=[each]) for each in self.answered)
        yield from (Group(doubts=[each]) for each in self.doubts)
        yield from (Group(begins=[each]) for each in self.begins)

    def put_back(self, group: Group) -> None:
        """Takes in again, before everything else, what was not written."""
        self.begins[:0] = group.begins
        self.ends[:0] = group.ends
        self.answered[:0] = group.answered
        self.doubts[:0] = group.doubts

    @property
    def claiming(self) -> list[Begun]:
        return [each for each in self.begins if each.columns.claim is not None]

    def steps(self) -> list[Step]:
        """The group as statements; `won` is the last if some intents claim keys."""
        return [*self._settled(), *_begun(self.begins, self.claiming)]

    def _settled(self) -> Iterator[Step]:
        ended = [*self.ends, *(each for each, _ in self.answered)]
        if ended:
            yield "end", (numbers(ended),)
        if self.ends:
            yield "free", (numbers(self.ends),)
        if self.doubts:
            ids = [each for each, _, _ in self.doubts]
            yield "doubt", (numbers(ids), array(TEXT, [text(why) for _, why, _ in self.doubts]))
        told = [*self.answered, *((each, told) for each, _, told in self.doubts if told)]
        if told:
            heads = array(BYTEA, [head for _, (head, _) in told])
            bodies = array(BYTEA, [body for _, (_, body) in told])
            yield "answer", (numbers([each for each, _ in told]), heads, bodies)


def _begun(begins: Sequence[Begun], claiming: Sequence[Begun]) -> Iterator[Step]:
    if claiming:
        claimed = [each.columns.claim for each in claiming if each.columns.claim]
        syncs, keys, prints = (list(column) for column in zip(*claimed, strict=True))
        claims = (array(TEXT, syncs), array(TEXT, keys), array(BYTEA, prints))
        yield "claim", (numbers([each.id for each in claiming]), *claims)
    if begins:
        yield "begin", _columns(begins)
    if claiming:
        ids = numbers([each.id for each in claiming])
        yield "withdraw", (ids,)
        yield "won", (ids,)


def _columns(begins: Sequence[Begun]) -> tuple[bytes, ...]:
    written = [each.columns for each in begins]
    return (
        numbers([each.id for each in begins]),
        array(TEXT, [each.sync_id for each in written]),
        array(TEXT, [each.call for each in written]),
        array(BYTEA, [each.body for each in written]),
    )

"""Ids of events: a UUID of version 8, made of 60 random bits of an era and an event's number.

So an id costs no column and no index, and leads to its event.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from httpproxy.store.streams.places import LAST_SEQ

_SALT_BITS: Final = ((1 << 48) - 1) << 80 | ((1 << 12) - 1) << 64
_MARKS: Final = 8 << 76 | 2 << 62


def event_id(salt: UUID, seq: int) -> str:
    """The id of an era's event."""
    return str(UUID(int=salt.int & _SALT_BITS | _MARKS | seq))


def seq_of(salt: UUID, wanted: str) -> int | None:
    """The number of the event that has this id, if it is of the era with this salt."""
    try:
        value = UUID(wanted).int
    except ValueError:
        return None
    seq = value & LAST_SEQ
    return seq if value ^ seq == salt.int & _SALT_BITS | _MARKS else None

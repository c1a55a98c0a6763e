"""Who holds the connections that a process can bear, and who goes when there are too many.

Nobody is limited while there is room. When there is none, a newcomer takes the place of
an idle connection of the address that holds most of them; one that is being served is
never cut. So an address that opens thousands crowds out itself, and nobody else.
"""

from __future__ import annotations

from typing import Protocol


class Guest(Protocol):
    """A connection; `idle` while no whole request of its own is being served."""

    @property
    def idle(self) -> bool: ...


class Crowd:
    """The connections by address. Who enters a full house costs one look at the richest's."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._of: dict[str, dict[Guest, None]] = {}
        self._holding: dict[int, dict[str, None]] = {}  # how many -> who holds so many

    def __len__(self) -> int:
        return self._size

    def enter(self, address: str, guest: Guest) -> Guest | None:
        """Takes a newcomer in. Returns who has to go for it: nobody, another, or itself."""
        leaving = self._whose_place(address) if self._size >= self._most else None
        if self._size >= self._most and leaving is None:
            return guest
        if leaving is not None:
            self.leave(*leaving)
        self._rank(address, +1)
        self._of.setdefault(address, {})[guest] = None
        return leaving[1] if leaving is not None else None

    def leave(self, address: str, guest: Guest) -> None:
        """A connection has ended; one that is not here is no error."""
        held = self._of.get(address)
        if held is None or guest not in held:
            return
        self._rank(address, -1)
        del held[guest]
        if not held:
            del self._of[address]

    def _whose_place(self, newcomer: str) -> tuple[str, Guest] | None:
        most = max(self._holding)
        richest = next(iter(self._holding[most]))
        if most <= len(self._of.get(newcomer, ())):
            richest = newcomer
        idle = next((guest for guest in self._of[richest] if guest.idle), None)
        return None if idle is None else (richest, idle)

    def _rank(self, address: str, step: int) -> None:
        """One more or one less of an address's connections, before it is put in or out."""
        before = len(self._of.get(address, ()))
        if before:
            holders = self._holding[before]
            del holders[address]
            if not holders:
                del self._holding[before]
        if before + step:
            self._holding.setdefault(before + step, {})[address] = None
        self._size += step

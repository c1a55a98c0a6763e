"""Names in sentences about what a request or a mutation asks for: those that an API does not
know, with those that it does.

Callers may write anything, so what is said is bounded, and similar names are looked for only a
few times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

_LOOKUPS: Final = 10  # of one request
_SHOWN: Final = 5
_LONGEST: Final = 80  # characters of a name


class Names:
    """Names that an API does not know, for one request: each with those that are near."""

    def __init__(self, what: str) -> None:
        """`what` they are names of: "field", "property"."""
        self._what = what
        self._left = _LOOKUPS

    def unknown(self, name: str, known: Iterable[str], where: str) -> str:
        """The fault, with the names that there are: the similar ones, or else some."""
        names = list(known)
        near: list[str] = []
        if self._left > 0:
            self._left -= 1
            near = get_close_matches(name[:_LONGEST], names, _SHOWN, 0.5)
        listed = f"near it: {listing(near)}" if near else f"there are: {listing(names)}"
        return f"{where} has no {self._what} {quoted(name)}; {listed}. Use one that is there."


def quoted(name: str) -> str:
    """A name as a sentence holds it; a very long one is cut."""
    return f'"{name}"' if len(name) <= _LONGEST else f'"{name[:_LONGEST]}…"'


def listing(names: Sequence[str]) -> str:
    """Some names in a row."""
    if not names:
        return "none"
    shown = ", ".join(quoted(name) for name in names[:_SHOWN])
    rest = len(names) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown

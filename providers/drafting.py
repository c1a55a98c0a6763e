"""What all drafts need: the body of a request, and what is wrong with it, in bounds.

A request may hold anything, so only some of its faults are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from providers.body import content, parse
from providers.http import Request
from providers.record import JSON
from providers.spec import Draft, DraftKind

MOST_FAULTS: Final = 20  # of one draft


class Refusable(ValueError):
    """The API will refuse a value; the message is a sentence for who sent it."""


class Unsure(Exception):
    """The API may take a value, and make of it what nobody can say before."""


def json_of(request: Request) -> JSON:
    """The JSON of a request's body, None for an empty one. Raises Unreadable."""
    body = content(request)
    return parse(body) if body.strip() else None


def objects_in(
    items: JSON, member: str, api: str, most: int, remedy: str
) -> tuple[list[dict[str, JSON]], tuple[str, ...]]:
    """The objects of a batch, of which the `api` takes so many in a call, and what is wrong
    with it as a whole. `member` is where they stand in the body."""
    if not isinstance(items, list) or not items:
        return [], (f"`{member}` is to be a list of 1 to {most} objects. {remedy}",)
    found = [each for each in items if isinstance(each, dict)]
    faults = []
    if len(items) > most:
        faults.append(
            f"There are {len(items)} {member}; {api} takes {most} in a call."
            " Send them in several."
        )
    if len(found) < len(items):
        faults.append(f"Some of `{member}` are not objects. {remedy}")
    return found, tuple(faults)


def bounded(faults: Sequence[str]) -> tuple[str, ...]:
    """The faults, less those beyond what anybody reads."""
    rest = len(faults) - MOST_FAULTS
    if rest <= 0:
        return tuple(faults)
    return (*faults[:MOST_FAULTS], f"There are {rest} more faults of this record.")


def with_faults(
    drafts: Sequence[Draft], faults: Sequence[str], otherwise: Draft
) -> tuple[Draft, ...]:
    """The drafts, the first with what is wrong with the request as a whole.

    `otherwise` stands in where a request with faults names no record at all.
    """
    if not faults:
        return tuple(drafts)
    first, *rest = drafts or (otherwise,)
    return (replace(first, faults=(*faults, *first.faults)), *rest)


def touch(collections: Iterable[str]) -> tuple[Draft, ...]:
    """Drafts that may change any record of these collections."""
    return tuple(Draft(name, DraftKind.TOUCH) for name in dict.fromkeys(collections))

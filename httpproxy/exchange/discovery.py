"""What an account has now, beside what a sync covers of it.

A provider describes the collections that it is asked for, all or none: one that is gone,
or that the token may not see, fails the whole question. Here it is asked again without
it, so that the others are described; what was refused is told with the API's words.

Nothing counts as gone that the API only refuses to speak of.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from providers.record import Collection
from providers.spec import Refused, UnknownCollection

log = logging.getLogger(__name__)

Ask = Callable[[tuple[str, ...]], Awaitable[tuple[Collection, ...]]]
"""Spellings -> their collections. Raises UnknownCollection, Refused."""

# What is spelled so is nowhere: a provider then says what there is, without describing it.
_NOWHERE: Final = ""
# Of one collection alone; anything else (an unknown token, a spent limit, trouble on the
# API's side) says the same of all.
_OF_ONE: Final = frozenset({400, 403, 404})


@dataclass(frozen=True, slots=True)
class Known:
    """A collection that the sync covers. `removed`: it was gone the last time."""

    collection: Collection
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Discovered:
    """What the API says.

    found      the collections as they are now
    gone       ids of those that are not there any more
    refused    id (or name, of a new one) -> why the API would not describe it
    uncovered  names of collections that the sync does not cover, if they were asked for
    """

    found: tuple[Collection, ...] = ()
    gone: tuple[str, ...] = ()
    refused: Mapping[str, Refused] = field(default_factory=dict)
    uncovered: tuple[str, ...] = ()


async def discover(
    ask: Ask, known: Sequence[Known], *, takes_new: bool, tells_new: bool = False
) -> Discovered:
    """Discovers the known collections again.

    `takes_new`: whatever else there is is described too, for it is to be covered.
    `tells_new`: it is told. Raises Refused if nothing could be described, and what `ask`
    raises beside.
    """
    lost = [k for k in known if k.removed]
    there = await _available(ask) if takes_new or tells_new or lost else ()
    names = {k.collection.name for k in known}
    new = [name for name in there if name not in names]
    wanted = [k.collection.id for k in known if not k.removed or k.collection.name in there]
    described = await _describe(ask, [*wanted, *(new if takes_new else ())])
    found = {c.id for c in described.found}
    spelled = names | {c.name for c in described.found}
    silent = not described.refused
    return Discovered(
        described.found,
        tuple(
            k.collection.id
            for k in known
            if k.collection.id not in found
            and (silent or k.removed or k.collection.id in described.gone)
        ),
        described.refused,
        tuple(name for name in there if name not in spelled),
    )


async def _available(ask: Ask) -> tuple[str, ...]:
    """The names of all collections that there are; none if the API does not tell."""
    try:
        await ask((_NOWHERE,))
    except UnknownCollection as unknown:
        return unknown.available
    except Refused as no:
        if no.response.status not in _OF_ONE:
            raise
        log.info("what other collections there are is not told: %s", no)
    return ()


async def _describe(ask: Ask, wanted: list[str]) -> Discovered:
    gone: list[str] = []
    refused: dict[str, Refused] = {}
    while wanted:
        try:
            return Discovered(await ask(tuple(wanted)), tuple(gone), refused)
        except UnknownCollection as unknown:
            if unknown.wanted not in wanted:
                raise
            wanted.remove(unknown.wanted)
            gone.append(unknown.wanted)
        except Refused as no:
            if no.response.status not in _OF_ONE or len(wanted) == 1 or refused:
                raise
            refused = await _refusals(ask, wanted)
            wanted = [spelling for spelling in wanted if spelling not in refused]
            if not refused or not wanted:
                raise
    return Discovered((), tuple(gone), refused)


async def _refusals(ask: Ask, wanted: Sequence[str]) -> dict[str, Refused]:
    """Which of several is refused: each is asked for by itself."""
    refused: dict[str, Refused] = {}
    for spelling in wanted:
        try:
            await ask((spelling,))
        except UnknownCollection:
            continue
        except Refused as no:
            if no.response.status not in _OF_ONE:
                raise
            refused[spelling] = no
    return refused

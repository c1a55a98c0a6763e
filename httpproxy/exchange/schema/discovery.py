"""What an account has now, beside what a sync covers of it.

A provider describes the collections that it is asked for, all or none: one that is gone,
or that the token may not see, fails the whole question. Here it is asked again without
it, so that the others are described; what was refused is told with the API's words.

Nothing counts as gone that the API only refuses to speak of.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
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
    refused    id -> why the API would not describe it
    uncovered  names of collections that the sync does not cover, if they were asked for
    beyond     names of those of them that the API would not describe either
    """

    found: tuple[Collection, ...] = ()
    gone: tuple[str, ...] = ()
    refused: Mapping[str, Refused] = field(default_factory=dict)
    uncovered: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()


async def discover(
    ask: Ask,
    known: Sequence[Known],
    *,
    takes_new: bool,
    tells_new: bool = False,
    passing: AbstractSet[str] = frozenset(),
    adding: Sequence[str] = (),
) -> Discovered:
    """Discovers the known collections again.

    `takes_new`: whatever else there is is described too, for it is to be covered, but for
    what is named in `passing`. `tells_new`: it is told. `adding`: spellings of collections
    that are described as well, or it fails. Raises Refused if nothing could be described,
    UnknownCollection for one of `adding`, and what `ask` raises beside.
    """
    lost = [k for k in known if k.removed]
    there = await _available(ask) if takes_new or tells_new or lost else ()
    wanted = [k.collection.id for k in known if not k.removed or k.collection.name in there]
    now = await _describe(ask, wanted, adding)
    new = [name for name in _uncovered(there, known, now) if name not in passing]
    if takes_new and new:
        now = await _join(ask, now, new)
    found = {c.id for c in now.found}
    gone = tuple(
        k.collection.id
        for k in known
        if k.collection.id not in found
        and (not now.refused or k.removed or k.collection.id in now.gone)
    )
    return replace(now, gone=gone, uncovered=_uncovered(there, known, now))


def _uncovered(
    there: Sequence[str], known: Sequence[Known], now: Discovered
) -> tuple[str, ...]:
    """The names that are neither described nor of what is refused. A new collection may
    have the name of one that is gone."""
    refused = {k.collection.name for k in known if k.collection.id in now.refused}
    spelled = refused.union(c.name for c in now.found)
    return tuple(name for name in there if name not in spelled)


async def _join(ask: Ask, now: Discovered, new: Sequence[str]) -> Discovered:
    """What there is, with the new collections. They are asked for one by one: what a token
    may not see is no trouble of what it may."""
    beyond = tuple(await _refusals(ask, new))
    joining = [name for name in new if name not in beyond]
    if not joining:
        return replace(now, beyond=beyond)
    joined = await _describe(ask, [*(c.id for c in now.found), *joining])
    return Discovered(
        joined.found,
        (*now.gone, *joined.gone),
        {**now.refused, **joined.refused},
        beyond=beyond,
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


async def _describe(ask: Ask, wanted: list[str], adding: Sequence[str] = ()) -> Discovered:
    gone: list[str] = []
    refused: dict[str, Refused] = {}
    while wanted or adding:
        try:
            return Discovered(await ask((*wanted, *adding)), tuple(gone), refused)
        except UnknownCollection as unknown:
            if unknown.wanted not in wanted:
                raise
            wanted.remove(unknown.wanted)
            gone.append(unknown.wanted)
        except Refused as no:
            if no.response.status not in _OF_ONE or len(wanted) < 2 or refused:
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

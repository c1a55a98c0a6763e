"""Which collections a portal has, and their fields.

The standard types are a table; custom ones are asked for, and only when somebody wants
them. Associations become pairs of the selected types, wherever HubSpot knows an
association type between two of them. That is asked for two types at a time, which for all
thirty of them is five hundred calls for a few dozen pairs: so each type's schema is asked
first with whom it associates, and what two schemas rule out is not asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Final

from providers.http import Request, Response
from providers.hubspot.calls import ask, get, segment
from providers.hubspot.fields import to_field
from providers.hubspot.objects import (
    PAIR_PREFIX,
    STANDARD,
    ObjectType,
    label_alias,
    object_collection,
    pair_collection,
    pair_id,
    type_alias,
)
from providers.hubspot.shapes import id_of, objects_of
from providers.record import JSON, Collection
from providers.spec import Refused, UnknownCollection

_STANDARD_SPELLINGS: Final = frozenset(s for kind in STANDARD for s in kind.spellings)
# Of so many types, one call for the schema of each is less than two for each pair of them.
MANY: Final = 6
_NOT_TOLD: Final = (400, 403, 404)  # no such thing, or none that this token may see

Discovery = Generator[Request, Response, tuple[Collection, ...]]


def discover(account: str, wanted: Sequence[str] | None) -> Discovery:
    """The collections of these spellings, and the pairs between them.

    `account` is the portal id; the token tells the same, so it is not asked for.
    Without `wanted` it is every type that the token may read, which is one at least. The
    id of a pair is allowed among the spellings and selects nothing by itself. Raises
    UnknownCollection for a spelling the portal does not have, Refused with HubSpot's own
    words.
    """
    del account
    types = yield from (_all_types() if wanted is None else _wanted_types(wanted))
    found: list[Collection] = []
    refused: Refused | None = None
    for kind in types:
        try:
            definitions = yield from _properties(kind)
        except Refused as no:
            if wanted is None and no.response.status in (403, 404):
                refused = refused or no
                continue
            raise
        fields = (field for each in definitions if (field := to_field(each)) is not None)
        found.append(object_collection(kind, {f.id: f for f in fields}.values()))
    if refused is not None and not found:
        raise refused
    ends = (yield from _known_ends(found)) if len(found) > MANY else {}
    pairs = yield from _pairs(found, ends)
    return (*found, *pairs)


def _properties(kind: ObjectType) -> Generator[Request, Response, list[dict[str, JSON]]]:
    body = yield from ask(get(f"/crm/v3/properties/{segment(kind.id)}"))
    return list(objects_of(body.get("results")))


# --- types ------------------------------------------------------------------------------


def _all_types() -> Generator[Request, Response, tuple[ObjectType, ...]]:
    try:
        custom = yield from _custom_types()
    except Refused as no:
        if no.response.status != 403:
            raise
        custom = ()
    return (*STANDARD, *custom)


def _wanted_types(
    wanted: Sequence[str],
) -> Generator[Request, Response, tuple[ObjectType, ...]]:
    known = {spelling: kind for kind in STANDARD for spelling in kind.spellings}
    objects = [spelling for spelling in wanted if not spelling.startswith(PAIR_PREFIX)]
    if any(spelling.lower() not in known for spelling in objects):
        custom = yield from _custom_types()
        known = {spelling: kind for kind in custom for spelling in kind.spellings} | known
    chosen: dict[str, ObjectType] = {}
    for spelling in objects:
        kind = known.get(spelling.lower()) or known.get(spelling)
        if kind is None:
            raise UnknownCollection(spelling, sorted({k.plural for k in known.values()}))
        chosen[kind.id] = kind
    return tuple(chosen.values())


def _custom_types() -> Generator[Request, Response, tuple[ObjectType, ...]]:
    body = yield from ask(get("/crm-object-schemas/v3/schemas"))
    return tuple(
        kind for each in objects_of(body.get("results")) if (kind := _custom_type(each))
    )


def _custom_type(schema: dict[str, JSON]) -> ObjectType | None:
    type_id, name = id_of(schema.get("objectTypeId")), id_of(schema.get("name"))
    if not type_id or not name:
        return None
    full = id_of(schema.get("fullyQualifiedName")) or f"p_{name}"
    # A portal may have had its own "projects" before HubSpot had: the plain name is theirs.
    plain = full if name.lower() in _STANDARD_SPELLINGS else name
    spellings = {plain, full, f"p_{name}"}
    return ObjectType(
        type_id, plain, plain, frozenset({*spellings, *map(str.lower, spellings)})
    )


# --- pairs ------------------------------------------------------------------------------


def _known_ends(
    objects: Sequence[Collection],
) -> Generator[Request, Response, dict[str, frozenset[str]]]:
    """Type id -> the types that its schema tells associations with.

    HubSpot documents schemas for custom types, and answers for its own. Of a type without
    a schema nothing follows; nor of one without associations, unless another of HubSpot's
    own types has some: then they are told for those.
    """
    found: dict[str, frozenset[str]] = {}
    for each in objects:
        try:
            body = yield from ask(get(f"/crm-object-schemas/v3/schemas/{segment(each.id)}"))
        except Refused as no:
            if no.response.status not in _NOT_TOLD:
                raise
            continue
        if isinstance(told := body.get("associations"), list):
            ends = (
                (id_of(one.get("fromObjectTypeId")), id_of(one.get("toObjectTypeId")))
                for one in objects_of(told)
            )
            found[each.id] = frozenset(to if start == each.id else start for start, to in ends)
    own = any(found.get(kind.id) for kind in STANDARD)
    return {type_id: others for type_id, others in found.items() if others or own}


def _ruled_out(
    ends: Mapping[str, frozenset[str]], origin: Collection, target: Collection
) -> bool:
    """Whether the schemas of both tell associations, and neither with the other."""
    if origin.id not in ends or target.id not in ends:
        return False
    return target.id not in ends[origin.id] and origin.id not in ends[target.id]


def _pairs(
    objects: Sequence[Collection], known_ends: Mapping[str, frozenset[str]]
) -> Discovery:
    """Every pair between the collections that HubSpot has association types for."""
    aliases: dict[str, frozenset[str]] = {}
    ends: dict[str, tuple[Collection, Collection]] = {}
    for at, origin in enumerate(objects):
        for target in objects[at:]:
            if _ruled_out(known_ends, origin, target):
                continue
            there = yield from _association_types(origin, target)
            if there is None:
                continue  # association types are never of one direction only
            back: frozenset[str] | None = there
            if origin.id != target.id:
                back = yield from _association_types(target, origin)
            name = pair_id(origin, target)
            ends[name] = (origin, target)
            aliases[name] = there | (back or frozenset())
    return tuple(pair_collection(*ends[name], aliases[name]) for name in sorted(ends))


def _association_types(
    origin: Collection, target: Collection
) -> Generator[Request, Response, frozenset[str] | None]:
    """The association types from one type to another; None if there are none."""
    path = f"/crm/v4/associations/{segment(origin.id)}/{segment(target.id)}/labels"
    try:
        body = yield from ask(get(path))
    except Refused as no:
        if no.response.status not in _NOT_TOLD:
            raise
        # Between two types there is a table even if its types may not be looked at.
        return frozenset() if origin.id != target.id and no.response.status == 403 else None
    return frozenset(_aliases(origin, body)) or None


def _aliases(origin: Collection, body: Mapping[str, JSON]) -> Iterator[str]:
    for each in objects_of(body.get("results")):
        category, type_id = id_of(each.get("category")), id_of(each.get("typeId"))
        yield type_alias(origin.id, category, type_id)
        yield label_alias(origin.id, category, type_id, id_of(each.get("label")))

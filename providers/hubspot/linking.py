"""What mutations ask of associations beside two ids: those of a new record, and labels.

    {"email": …, "associations": {"company": ["17"]}}        a new contact
    {"company_id": "17", "contact_id": "512", "labels": ["Billing contact"]}

A request names types of associations by numbers, which are a portal's own. Discovery has
learned them, with their labels as each end tells them; a label is asked for by its name as
the pair's table has it, from its left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.hubspot.objects import (
    find_objects,
    find_pair,
    is_pair,
    pairs_of,
    types_from,
)
from providers.mutating import Reading
from providers.record import JSON, Collection, Schema
from providers.wording import listing, quoted

ASSOCIATIONS: Final = "associations"
LABELS: Final = "labels"

_SHAPE: Final = 'collections and ids of their records, such as {"company": ["17"]}'
_UNKNOWN: Final = (
    "what HubSpot has told the association types of: refresh the collections first"
)
_NEW: Final = "If it is new, refresh the collections first"
_PREFIX: Final = "hubspot:"  # of public ids


def members(collection: Collection, schema: Schema) -> Mapping[str, Reading]:
    """What a record of this collection can have beside its fields."""
    if is_pair(collection):
        return {LABELS: lambda value: _labels(collection, value)}
    return {ASSOCIATIONS: lambda value: _associations(collection, schema, value)}


def _labels(pair: Collection, value: JSON) -> JSON:
    """The association types of these labels. Raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of labels, as texts")
    known = types_from(pair, pair.fields[0].type)
    named = {label: type_ for label, type_ in known.items() if label}
    for each in value:
        if each not in named:
            there = listing(sorted(named))
            raise ValueError(f"no {quoted(str(each))}; there are: {there}. {_NEW}")
    return [named[str(each)] for each in value]


def _associations(origin: Collection, schema: Schema, value: JSON) -> JSON:
    """A new record's associations, as its input has them. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(_SHAPE)  # noqa: TRY004 - the caller is told in words, as of any value
    found: list[JSON] = []
    for name, ids in value.items():
        type_ = _type_to(origin, schema, name)
        ends = ids if isinstance(ids, list) else [ids]
        found += ({"to": {"id": _id(each)}, "types": [type_]} for each in ends)
    return found


def _type_to(origin: Collection, schema: Schema, name: str) -> dict[str, JSON]:
    target = find_objects(schema, name.removeprefix(_PREFIX))
    pair = None if target is None else find_pair(schema, origin, target)
    if pair is None:
        raise ValueError(f"no {quoted(name)}; there are: {listing(_others(origin, schema))}")
    type_ = types_from(pair, origin.id).get("")
    if type_ is None:
        raise ValueError(_UNKNOWN)
    return type_


def _others(origin: Collection, schema: Schema) -> list[str]:
    """The collections that this one has associations with, as tables name them."""
    found = []
    for pair in pairs_of(schema, origin):
        left, right = (field.type for field in pair.fields[:2])
        other = schema.find(right if left == origin.id else left)
        if other is not None:
            found.append(other.table_name)
    return sorted(found)


def _id(value: JSON) -> JSON:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not (text.isascii() and text.isdecimal()):
        raise ValueError(_SHAPE)
    return text

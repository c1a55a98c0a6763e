"""Calls that change something which their answers do not tell: what to read again.

Nothing here raises anything but `Unreadable`, whatever the bodies hold.
"""

from __future__ import annotations

from providers.hubspot.associations import ends_of
from providers.hubspot.objects import find_objects, is_pair
from providers.record import NO_CHANGE, Change, Dirty, Schema
from providers.spec import Exchange, Reader


def nothing(_exchange: Exchange, _schema: Schema) -> Change:
    """Changes something, but nothing that a row of ours shows."""
    return NO_CHANGE


def redefined(exchange: Exchange, schema: Schema) -> Change:
    """Properties or schemas were written: definitions and values are to be read anew."""
    collection = find_objects(schema, exchange.variables.get("type", ""))
    reason = "its properties were redefined"
    dirty = () if collection is None else (Dirty(collection.id, None, reason),)
    return Change(dirty=dirty, schema_changed=True)


def relabelled(exchange: Exchange, schema: Schema) -> Change:
    """A label was defined, renamed or removed between two types."""
    ends = ends_of(exchange.variables, schema)
    dirty = () if ends is None else (Dirty(ends.pair.id, None, "its labels were redefined"),)
    return Change(dirty=dirty, schema_changed=True)


def touched(*spellings: str) -> Reader:
    """A legacy call wrote records of these types, in a shape that we do not read.

    Without spellings it is the type that the path names.
    """

    def read(exchange: Exchange, schema: Schema) -> Change:
        named = spellings or (exchange.variables.get("type", ""),)
        found = (find_objects(schema, spelling) for spelling in named)
        reason = "a legacy call wrote it"
        return Change(dirty=tuple(Dirty(c.id, None, reason) for c in found if c is not None))

    return read


def pairs_touched(_exchange: Exchange, schema: Schema) -> Change:
    """A legacy call wrote associations of some kind."""
    reason = "a legacy call wrote it"
    return Change(
        dirty=tuple(Dirty(c.id, None, reason) for c in schema.collections if is_pair(c))
    )

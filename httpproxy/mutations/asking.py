"""What is asked for, understood by the sync's schema, with everything that is wrong told."""

from __future__ import annotations

from typing import Final

from httpproxy.management.models import Wrong
from httpproxy.management.naming import collection_named
from httpproxy.management.problems import Declined
from httpproxy.mutations.documents import Kind, RecordsToChange
from httpproxy.store.layouts.tables import SyncTables
from providers.mutating import Aim, MutationKind, Wanted
from providers.spec import Provider
from providers.wanted import Asked, Faulty, wanted

MOST_NAMED: Final = 5  # of what is wrong, in the sentence

Understood = tuple[Aim, tuple[Wanted, ...]]


def spelled_by(
    provider: Provider, tables: SyncTables, asked: RecordsToChange, kind: Kind
) -> Asked:
    """The mutation with its collection found. Raises Declined."""
    name = asked.collection_id
    collection = collection_named(provider, tables.schema, name, "collection_id")
    names = tables.tables[collection.id].names
    return Asked(
        collection,
        MutationKind(kind),
        asked.data,
        asked.match,
        columns={column: field_id for field_id, column in names.items()},
        schema=tables.schema,
        typecast=asked.typecast,
    )


def understood(asked: Asked, provider: Provider) -> Understood:
    """What the API is to be asked for. Raises Declined, member by member; nothing was sent."""
    try:
        return wanted(asked, provider.mutations)
    except Faulty as faulty:
        raise _declined(faulty) from faulty


def _declined(faulty: Faulty) -> Declined:
    wrongs = [Wrong(member=f.member, detail=f.said) for f in faulty.faults]
    said = " ".join(f"{each.member}: {each.detail}" for each in wrongs[:MOST_NAMED])
    more = len(wrongs) - MOST_NAMED
    return Declined(
        "bad_body",
        f"{said} And {more} more." if more > 0 else said,
        wrongs[0].member,
        errors=[each.model_dump() for each in wrongs],
    )

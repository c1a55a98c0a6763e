"""Our own conversations with Airtable: discovery, and reading records again.

Both are generators that yield Requests and are sent the Responses (providers.spec);
whoever drives them adds the credential and waits for permits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from providers.airtable.calls import quoted, record_request, request
from providers.airtable.fields import SYSTEM_FIELDS, field_from_metadata
from providers.airtable.listing import PAGE, list_records
from providers.airtable.refusals import (
    RECORDS_REMEDY,
    SCHEMA_REMEDY,
    is_missing,
    refused,
    unreadable,
)
from providers.body import read_json
from providers.record import JSON, Collection, Image, ImageKind
from providers.spec import Conversation, Refused, UnknownCollection, Unreadable

_SAMPLE: Final = 5


def discover(
    account: str, wanted: tuple[str, ...] | None
) -> Conversation[tuple[Collection, ...]]:
    """The tables of base `account` with their fields; all, or those wanted, in that order.

    A table is wanted by its id or its name. Raises UnknownCollection, Refused.
    """
    target = f"/v0/meta/bases/{quote(account, safe='')}/tables"
    response = yield request("GET", target)
    if not response.ok:
        raise refused(response, SCHEMA_REMEDY)
    try:
        tables = _collections(account, read_json(response))
    except (Unreadable, KeyError, TypeError) as error:
        raise unreadable(response) from error
    if wanted is None:
        return tables
    by_id = {table.id: table for table in tables}
    by_name = {table.name: table for table in tables}
    chosen: dict[str, Collection] = {}
    for spelling in wanted:
        found = by_id.get(spelling) or by_name.get(spelling)
        if found is None:
            raise UnknownCollection(spelling, [table.name for table in tables])
        chosen[found.id] = found
    return tuple(chosen.values())


def read_records(
    collection: Collection, keys: Sequence[tuple[str, ...]]
) -> Conversation[tuple[Image, ...]]:
    """One image per key, in order: REPLACE, or DELETE for a record that is gone.

    What a listing does not name is gone only if single calls confirm it, for a few of
    them: an empty list is also what a half-broken API answers. `collection` must come
    from `discover`. Raises Refused.
    """
    found: dict[str, Image] = {}
    wanted = list(dict.fromkeys(key[0] for key in keys))
    for start in range(0, len(wanted), PAGE):
        chunk = wanted[start : start + PAGE]
        found.update((yield from _read(collection, chunk)))
        yield from _confirm(collection, [i for i in chunk if i not in found])
    gone = {i: Image(collection.id, (i,), ImageKind.DELETE) for i in wanted}
    return tuple(found.get(key[0], gone[key[0]]) for key in keys)


def _read(collection: Collection, ids: Sequence[str]) -> Conversation[dict[str, Image]]:
    """The images of those records that a listing by ids names."""
    formula = f"OR({','.join(f'RECORD_ID()={quoted(i)}' for i in ids)})"
    found: dict[str, Image] = {}
    offset: str | None = None
    while True:
        listed = yield from list_records(collection, formula, offset)
        found.update((r.image.record_id, r.image) for r in listed.records)
        offset = listed.offset
        if offset is None:
            return found


def _confirm(collection: Collection, absent: Sequence[str]) -> Conversation[None]:
    """Asks for some of the records that a listing left out. Raises Refused if one is there."""
    for record_id in absent[:: -(-len(absent) // _SAMPLE) or 1]:
        response = yield record_request(collection, record_id)
        if response.ok:
            raise Refused(
                response,
                f"a listing by ids left out {record_id}, which is there",
                "Nothing is taken for deleted while Airtable contradicts itself: it is asked "
                "again later.",
            )
        if not is_missing(response):
            raise refused(response, RECORDS_REMEDY)


def _collections(account: str, answer: JSON) -> tuple[Collection, ...]:
    tables = answer["tables"] if isinstance(answer, dict) else None
    if not isinstance(tables, list):
        raise Unreadable("the answer lists no tables")
    return tuple(_collection(account, table) for table in tables if isinstance(table, dict))


def _collection(account: str, table: Mapping[str, JSON]) -> Collection:
    table_id, name, fields = str(table["id"]), str(table["name"]), table["fields"]
    if not isinstance(fields, list):
        raise Unreadable("a table's fields are not a list")
    return Collection(
        id=table_id,
        name=name,
        fields=SYSTEM_FIELDS
        + tuple(field_from_metadata(f) for f in fields if isinstance(f, dict)),
        table_name=name,
        # How a path names the table from the root on: what `read_records` asks for.
        aliases=frozenset({f"{account}/{table_id}"}),
    )

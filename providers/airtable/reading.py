"""Our own conversations with Airtable: discovery, and reading records again.

Both are generators that yield Requests and are sent the Responses (providers.spec);
whoever drives them adds the credential and waits for permits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import orjson

from providers.airtable.fields import SYSTEM_FIELDS, field_from_metadata
from providers.airtable.images import record_images, records_in
from providers.airtable.routes import API_HOST
from providers.body import read_json
from providers.http import Request, Response, headers
from providers.record import JSON, Collection, Image, ImageKind
from providers.spec import Conversation, Refused, UnknownCollection, Unreadable

PAGE: Final = 100

_ACCEPT: Final = ("Accept", "application/json")
_SCHEMA_REMEDY: Final = (
    "The token must have the scope schema.bases:read and access to the base "
    "(https://airtable.com/create/tokens)."
)
_RECORDS_REMEDY: Final = (
    "The token must have the scope data.records:read and access to the base "
    "(https://airtable.com/create/tokens)."
)


def discover(
    account: str, wanted: tuple[str, ...] | None
) -> Conversation[tuple[Collection, ...]]:
    """The tables of base `account` with their fields; all, or those wanted, in that order.

    A table is wanted by its id or its name. Raises UnknownCollection, Refused.
    """
    target = f"/v0/meta/bases/{quote(account, safe='')}/tables"
    response = yield Request("GET", API_HOST, target, headers(_ACCEPT))
    if not response.ok:
        raise _refused(response, _SCHEMA_REMEDY)
    try:
        tables = _collections(account, read_json(response))
    except (Unreadable, KeyError, TypeError) as error:
        raise _unreadable(response) from error
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

    `collection` must come from `discover`. Raises Refused.
    """
    found: dict[str, Image] = {}
    wanted = list(dict.fromkeys(key[0] for key in keys))
    for chunk in _chunks(wanted):
        offset: JSON = None
        while True:
            response = yield _listing(collection, chunk, offset)
            if not response.ok:
                raise _refused(response, _RECORDS_REMEDY)
            try:
                answer = read_json(response)
                read = record_images(collection, records_in(answer), by_id=lambda: True)
            except Unreadable as error:
                raise _unreadable(response) from error
            found.update((r.image.record_id, r.image) for r in read)
            offset = answer.get("offset") if isinstance(answer, dict) else None
            if not offset:
                break
    gone = {i: Image(collection.id, (i,), ImageKind.DELETE) for i in wanted}
    return tuple(found.get(key[0], gone[key[0]]) for key in keys)


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


def _base(collection: Collection) -> str:
    for alias in collection.aliases:
        base, _, table = alias.rpartition("/")
        if base and table == collection.id:
            return base
    raise ValueError(f"collection {collection.id} does not say which base it is of")


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]


def _listing(collection: Collection, ids: Sequence[str], offset: JSON) -> Request:
    asked: dict[str, JSON] = {
        "pageSize": PAGE,
        "returnFieldsByFieldId": True,
        "filterByFormula": f"OR({','.join(f'RECORD_ID()={_quoted(i)}' for i in ids)})",
    }
    if offset:
        asked["offset"] = offset
    base, table = (quote(part, safe="") for part in (_base(collection), collection.id))
    return Request(
        "POST",
        API_HOST,
        f"/v0/{base}/{table}/listRecords",
        headers(_ACCEPT, ("Content-Type", "application/json")),
        orjson.dumps(asked),
    )


def _quoted(text: str) -> str:
    """A string literal of Airtable's formula language."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def said(response: Response) -> tuple[str, str]:
    """What an error answer says: (type, message); either may be empty.

    Airtable's `error` is an object with or without a message, or a string; on some
    429 answers it is within a list, `errors`; and the body need not be JSON.
    """
    try:
        answer = read_json(response)
    except Unreadable:
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error")
    errors = answer.get("errors")
    if error is None and isinstance(errors, list) and errors:
        error = errors[0]
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    kind = error.get("type") or error.get("error")
    return str(kind or ""), str(error.get("message") or "")


_REMEDIES: Final = {
    401: "The token is wrong, revoked or expired: make a new one and store it.",
    429: "Airtable's rate limit is spent: wait, or lower the rate of this sync.",
}


def _refused(response: Response, remedy: str) -> Refused:
    kind, message = said(response)
    words = ": ".join(part for part in (kind, message) if part)
    if response.status >= 500:
        remedy = "Airtable is in trouble: try again later."
    return Refused(
        response, words or "Airtable refused", _REMEDIES.get(response.status, remedy)
    )


def _unreadable(response: Response) -> Refused:
    return Refused(
        response,
        "the answer cannot be read",
        "Something between here and Airtable may have answered in its place: check the "
        "upstream that is configured.",
    )

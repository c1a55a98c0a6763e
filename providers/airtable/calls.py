"""Requests of our own to Airtable: to a base, a table, a record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import orjson

from providers.airtable.routes import API_HOST
from providers.http import Request, headers
from providers.record import JSON, Collection

_ACCEPT: Final = ("Accept", "application/json")
_CONTENT: Final = ("Content-Type", "application/json")


def request(method: str, target: str) -> Request:
    """A call to the API without a body."""
    return Request(method, API_HOST, target, headers(_ACCEPT))


def json_request(method: str, target: str, body: JSON) -> Request:
    """A call to the API with a JSON body."""
    return Request(method, API_HOST, target, headers(_ACCEPT, _CONTENT), orjson.dumps(body))


def record_request(collection: Collection, record_id: str) -> Request:
    """The request for one record by its id."""
    target = f"{table_path(collection)}/{quote(record_id, safe='')}?returnFieldsByFieldId=true"
    return request("GET", target)


def table_path(collection: Collection) -> str:
    """The path of a discovered table's records."""
    return f"/v0/{base_of(collection)}/{quote(collection.id, safe='')}"


def base_of(collection: Collection) -> str:
    """The base that a discovered table is of, as a path segment. Raises ValueError."""
    for alias in collection.aliases:
        base, _, table = alias.rpartition("/")
        if base and table == collection.id:
            return quote(base, safe="")
    raise ValueError(f"collection {collection.id} does not say which base it is of")


def quoted(text: str) -> str:
    """A string literal of Airtable's formula language."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def parsed_moment(moment: float) -> str:
    """A moment (epoch seconds; none before 1970) in the formula language, in whole seconds.

    The parsed form matters: compared with a mere text, every record is "after" it.
    """
    text = datetime.fromtimestamp(max(moment, 0.0), UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"DATETIME_PARSE('{text}','YYYY-MM-DD HH:mm:ss')"

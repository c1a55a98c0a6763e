"""Every route of Airtable's Web API that the gateway knows, as a table.

A route is a write by what it does, not by its method: `POST …/listRecords` reads.
`EFFECT` is what changes something that the answer does not show. Deeper paths of a
base's metadata, such as those for enterprise administrators, pass as effects on the
schema; what is not listed at all is refused.
"""

from __future__ import annotations

from typing import Final

from providers.airtable import drafts
from providers.airtable.images import (
    changed_field,
    changed_schema,
    commit_deletes,
    commit_records,
    commit_upload,
    dirty_table,
    nothing,
)
from providers.spec import Action, Drafter, Reader, Route

API_HOST: Final = "api.airtable.com"
CONTENT_HOST: Final = "content.airtable.com"

_TABLE: Final = "/v0/{base}/{table}"
_RECORD: Final = "/v0/{base}/{table}/{record}"
_META: Final = "/v0/meta/bases"
_HOOKS: Final = "/v0/bases/{base}/webhooks"

_DEEPER: Final = {"create": "POST", "update": "PATCH", "replace": "PUT", "delete": "DELETE"}

_WHOLE: Final = "the whole record, as answered: fields left out become empty"
_BATCH: Final = "the whole records, as answered: fields left out become empty"
_LINKED: Final = "; linked tables are read again"
_REDISCOVER: Final = "tables and columns are discovered again"


def _read(name: str, method: str, path: str) -> Route:
    return Route(name, method, path, Action.READ)


def _write(
    name: str, call: str, commits: str, read: Reader, draft: Drafter, host: str | None = None
) -> Route:
    method, path = call.split(" ")
    return Route(name, method, path, Action.WRITE, commits, read, draft, host=host)


def _effect(
    name: str,
    call: str,
    read: Reader = nothing,
    commits: str = "nothing: no record changes",
    draft: Drafter = drafts.nothing,
) -> Route:
    method, path = call.split(" ")
    return Route(name, method, path, Action.EFFECT, commits, read, draft)


RECORDS: Final = (
    _read("list records", "GET", _TABLE),
    _read("list records by POST", "POST", f"{_TABLE}/listRecords"),
    _read("get record", "GET", _RECORD),
    _write(
        "create records",
        f"POST {_TABLE}",
        _BATCH + _LINKED,
        commit_records,
        drafts.create_records,
    ),
    _write(
        "update records",
        f"PATCH {_TABLE}",
        _BATCH + _LINKED,
        commit_records,
        drafts.update_records,
    ),
    _write(
        "replace records",
        f"PUT {_TABLE}",
        _BATCH + _LINKED,
        commit_records,
        drafts.update_records,
    ),
    _write(
        "update record",
        f"PATCH {_RECORD}",
        _WHOLE + _LINKED,
        commit_records,
        drafts.update_record,
    ),
    _write(
        "replace record",
        f"PUT {_RECORD}",
        _WHOLE + _LINKED,
        commit_records,
        drafts.update_record,
    ),
    _write(
        "delete records",
        f"DELETE {_TABLE}",
        "removes the rows that the answer confirms" + _LINKED,
        commit_deletes,
        drafts.delete_records,
    ),
    _write(
        "delete record",
        f"DELETE {_RECORD}",
        "removes the row" + _LINKED,
        commit_deletes,
        drafts.delete_record,
    ),
    _write(
        "upload attachment",
        "POST /v0/{base}/{record}/{field}/uploadAttachment",
        "that one field; the record is read again",
        commit_upload,
        drafts.upload,
        CONTENT_HOST,
    ),
    _effect(
        "sync CSV into table",
        f"POST {_TABLE}/sync/{{endpoint}}",
        dirty_table,
        "the table is read again",
        drafts.touch_table,
    ),
)

COMMENTS: Final = (
    _read("list comments", "GET", f"{_RECORD}/comments"),
    _effect("create comment", f"POST {_RECORD}/comments"),
    _effect("update comment", f"PATCH {_RECORD}/comments/{{comment}}"),
    _effect("delete comment", f"DELETE {_RECORD}/comments/{{comment}}"),
)

METADATA: Final = (
    _read("who am I", "GET", "/v0/meta/whoami"),
    _read("list bases", "GET", _META),
    _read("get base", "GET", f"{_META}/{{base}}"),
    _read("list tables", "GET", f"{_META}/{{base}}/tables"),
    _effect(
        "create base", f"POST {_META}", nothing, "nothing: a new base is no table of a sync"
    ),
    _effect("create table", f"POST {_META}/{{base}}/tables", changed_schema, _REDISCOVER),
    _effect(
        "update table", f"PATCH {_META}/{{base}}/tables/{{table}}", changed_schema, _REDISCOVER
    ),
    _effect(
        "create field",
        f"POST {_META}/{{base}}/tables/{{table}}/fields",
        changed_field,
        _REDISCOVER + ", and the table is read again",
        drafts.touch_table,
    ),
    _effect(
        "update field",
        f"PATCH {_META}/{{base}}/tables/{{table}}/fields/{{field}}",
        changed_field,
        _REDISCOVER + ", and the table is read again",
        drafts.touch_table,
    ),
    _read("read other metadata", "GET", f"{_META}/{{base}}/{{rest...}}"),
    *(
        _effect(
            f"{verb} other metadata",
            f"{method} {_META}/{{base}}/{{rest...}}",
            changed_schema,
            _REDISCOVER,
        )
        for verb, method in _DEEPER.items()
    ),
)

WEBHOOKS: Final = (
    _read("list webhooks", "GET", _HOOKS),
    _read("list webhook payloads", "GET", f"{_HOOKS}/{{webhook}}/payloads"),
    _effect("create webhook", f"POST {_HOOKS}"),
    _effect("refresh webhook", f"POST {_HOOKS}/{{webhook}}/refresh"),
    _effect("switch webhook notifications", f"POST {_HOOKS}/{{webhook}}/enableNotifications"),
    _effect("delete webhook", f"DELETE {_HOOKS}/{{webhook}}"),
)

ROUTES: Final = RECORDS + COMMENTS + METADATA + WEBHOOKS

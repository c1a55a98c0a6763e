"""A call that is only tried out: what would go out, and what it would change.

Nothing of it is sent. What the request is meant to do is the provider's draft of it, told
by the schema as it was last discovered, and shown beside the rows as they are. The API
would say no to a token that may not do this; here nobody asks it, so the token has to be
known as the account's own before anything of its rows or fields is shown.

An answer is bounded, whatever the request holds: of many records some are shown.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Final

from httpproxy.exchange.attempt import Call
from httpproxy.exchange.authorization.account import Accounts
from httpproxy.exchange.directory.syncs import tables_of
from httpproxy.exchange.problems import Rejected
from httpproxy.store.errors import Stale
from httpproxy.store.layouts.tables import EXTRA, SyncTables, Table
from httpproxy.store.registry import Registry
from httpproxy.store.sync.rows import Row, Rows
from httpproxy.upstream.lane import Priority
from providers.body import content, parse
from providers.http import SECRET_HEADERS, Request
from providers.record import JSON
from providers.spec import Action, Draft, DraftKind, Unreadable

PATIENCE: Final = 5.0  # seconds for the database
MOST_CHANGES: Final = 200
MOST_FAULTS: Final = 100
MOST_LOOKUPS: Final = 20
LONGEST_BODY: Final = 256 * 1024  # bytes that are shown
DEEPEST: Final = 60
HIDDEN: Final = "…"

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    """Tells what a call would do."""

    accounts: Accounts
    registry: Registry
    rows: Rows

    async def preview(self, call: Call) -> dict[str, JSON]:
        """The document that answers a dry run; nothing is sent to the API for it, but
        that HubSpot may be asked whose token it is.

        Raises Rejected: 403 if the token is not known to be the account's own, 502 if the
        database is away.
        """
        try:
            await self._require_proof(call)
            async with asyncio.timeout(PATIENCE):
                try:
                    return await self._document(call)
                except Stale:  # a table has just followed its collection
                    call.live.tables = None
                    return await self._document(call)
        except (OSError, Stale) as error:  # OSError: also that the time is over
            raise Rejected(
                "database_unavailable",
                "The database cannot be reached, or a table is being changed, so its rows"
                " cannot be shown; nothing was sent.",
                retry_after=1,
            ) from error

    async def _require_proof(self, call: Call) -> None:
        if call.caller is not None:  # the stored credential, for a key that opens the sync
            return
        if not await self.accounts.proven(call.live, call.request.headers):
            raise Rejected(
                "token_unproven",
                "A dry run asks the API nothing, and so cannot learn whose token this is."
                f" Send the token that this sync holds, or any of account"
                f" {call.live.sync.account} that {call.live.provider.title} can tell.",
            )

    async def _document(self, call: Call) -> dict[str, JSON]:
        sync_id = call.live.sync.id
        tables = await tables_of(call.live, self.registry)
        drafts, faults = _drafts(call, tables)
        shown = drafts[:MOST_CHANGES]
        known = await self._known(tables, shown)
        changes: list[JSON] = [
            _change(tables.tables[draft.collection], draft, known.get(at))
            for at, draft in enumerate(shown)
        ]
        told = {draft.collection for draft in drafts} or set(tables.tables)
        return {
            "source": "proxy",
            "dry_run": True,
            "request_id": call.request_id,
            "request": _request(call.request),
            "changes": changes,
            "more_changes": len(drafts) - len(shown),
            "faults": [*faults],
            "permits": _permits(call),
            "schema_as_of": await self.rows.told_at(sync_id, sorted(told)),
        }

    async def _known(
        self, tables: SyncTables, drafts: Sequence[Draft]
    ) -> Mapping[int, Row | None]:
        """By the drafts' places, the rows that they are about; None where there is none.

        What names no row is left out, and so are those beyond some that are named by a
        value: finding them may take reading the table.
        """
        found: dict[int, Row | None] = {}
        keyed: dict[str, dict[int, Keys]] = defaultdict(dict)
        lookups = 0
        for at, draft in enumerate(drafts):
            if draft.kind in (DraftKind.TOUCH, DraftKind.CREATE):
                continue
            if draft.key is not None:
                keyed[draft.collection][at] = draft.key
            elif draft.match is not None and lookups < MOST_LOOKUPS:
                lookups += 1
                table = tables.tables[draft.collection]
                found[at] = await self.rows.of_value(table, *draft.match)
        for collection, keys in keyed.items():
            rows = await self.rows.of_keys(tables.tables[collection], [*keys.values()])
            found |= {at: rows.get(key) for at, key in keys.items()}
        return found


def _drafts(call: Call, tables: SyncTables) -> tuple[tuple[Draft, ...], list[str]]:
    """What the request is meant to do, and what the API will refuse of it."""
    route = call.match.route
    if route.draft is None:
        return (), []
    try:
        drafts = route.draft(call.request, call.match.variables, tables.schema)
    except Unreadable as error:
        return (), [f"The request's body cannot be read: {error}."]
    several = sum(draft.kind is not DraftKind.TOUCH for draft in drafts) > 1
    faults = [
        f"Record {number}: {fault}" if several else fault
        for number, draft in enumerate(drafts, start=1)
        for fault in draft.faults
    ]
    return drafts, faults[:MOST_FAULTS]


def _change(table: Table, draft: Draft, row: Row | None) -> JSON:
    """One record: what names it, its values now and those that it is to have, by column.

    `current` is None if there is no such row. A deletion shows all of the row.
    """
    change: dict[str, JSON] = {
        "collection": table.collection.name,
        "table": f"{table.schema_name}.{table.name}",
        "kind": draft.kind.value,
        "key": _key(table, draft, row),
    }
    if draft.match is not None:
        field, value = draft.match
        change["match"] = {table.names.get(field, field): value}
    if draft.kind is DraftKind.TOUCH:
        return change
    if draft.kind is DraftKind.DELETE:
        return {**change, "current": None if row is None else _row(table, row)}
    names = {field: _name(table, field) for field in draft.values}
    change["current"] = (
        None if row is None else {name: _value(row, name) for name in names.values()}
    )
    new: dict[str, JSON] = {names[f]: shallow(value) for f, value in draft.values.items()}
    return {**change, "new": new}


def _key(table: Table, draft: Draft, row: Row | None) -> JSON:
    columns = [column.name for column in table.key]
    if draft.key is not None:
        return {**dict(zip(columns, draft.key, strict=True))}
    return None if row is None else {name: row[name] for name in columns}


def _name(table: Table, field_id: str) -> str:
    """The column of a field; if the table has none for it, its upstream name."""
    return table.names.get(field_id) or table.collection.by_id[field_id].name


def _value(row: Row, name: str) -> JSON:
    if name in row:
        return shallow(row[name])
    extra = row.get(EXTRA)
    return shallow(extra.get(name)) if isinstance(extra, dict) else None


def _row(table: Table, row: Row) -> JSON:
    return {column.name: shallow(row.get(column.name)) for column in table.columns}


def _request(request: Request) -> JSON:
    """The request as it would go out, less its secrets."""
    told: dict[str, JSON] = {
        "method": request.method,
        "url": f"https://{request.host}{request.target}",
        "headers": [
            [name, HIDDEN if name.lower() in SECRET_HEADERS else value]
            for name, value in request.headers.items()
        ],
        "body_bytes": len(request.body),
    }
    if 0 < len(request.body) <= LONGEST_BODY:
        with suppress(Unreadable):  # then it is no JSON to be shown
            told["body"] = shallow(parse(content(request, LONGEST_BODY)))
    return told


def shallow(value: JSON, depth: int = 0) -> JSON:
    """The value, with what is nested deeper than anybody reads cut off."""
    if isinstance(value, list):
        return [shallow(e, depth + 1) for e in value] if depth < DEEPEST else [HIDDEN]
    if isinstance(value, dict):
        if depth >= DEEPEST:
            return {HIDDEN: HIDDEN}
        return {name: shallow(each, depth + 1) for name, each in value.items()}
    return value


def _permits(call: Call) -> JSON:
    """What the call would cost of the account's rate, and how long it would wait for that."""
    allotment, budget = call.live.allotment, call.match.route.budget
    rate = allotment.rate(budget)
    reads = call.match.route.action is Action.READ
    wait = allotment.limiter.expected_wait(
        allotment.lane(budget), Priority.READ if reads else Priority.WRITE
    )
    return {
        "budget": budget,
        "cost": 1,
        "expected_wait": round(wait, 3) if isfinite(wait) else None,
        "limit": {
            "allowed_requests": rate.allowed_requests,
            "interval": rate.interval,
            "max_concurrent_requests": rate.max_concurrent_requests,
        },
    }

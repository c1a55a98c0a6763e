"""A mutation's idempotency key, claimed before the first of its calls.

    the key, and what was asked for     is it the same? 422 if not
    what that was understood as         fields by their ids, values as the API takes them

A repeat is known by what it asks for, word by word, and goes on with what the first one
understood: a field or a collection that was renamed since changes neither the calls nor what
is told of them. The keys of the calls themselves are made in `carrying`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import orjson

from httpproxy.exchange.forwarding import idempotency
from httpproxy.exchange.problems import Rejected
from httpproxy.management.problems import Declined
from httpproxy.mutations.asking import Understood
from httpproxy.mutations.documents import Kind, RecordsToChange
from httpproxy.store.intents.claims import Claimed, Claims
from providers.http import Headers, Request
from providers.mutating import Aim, MutationKind, Wanted
from providers.record import Schema

# What makes two mutations the same; who is awaited, and for how long, may differ.
_ASKED: Final = ("collection_id", "data", "match", "typecast")


@dataclass(frozen=True, slots=True)
class Key:
    """The caller's key in one sync. `mark` tells what is asked for under it."""

    sync_id: str
    text: str
    mark: bytes

    @property
    def name(self) -> str:
        """As it is claimed, beside the keys of calls."""
        return f"mutation {self.text}"


def text_of(headers: Headers) -> str | None:
    """The caller's idempotency key. Raises Declined."""
    try:
        claim = idempotency.claim_of(Request("", "", "", headers), lambda: b"")
    except Rejected as rejected:
        raise Declined("bad_parameter", rejected.detail, idempotency.HEADER) from rejected
    return None if claim is None else claim.key


def mark_of(asked: RecordsToChange, kind: Kind) -> bytes:
    """Tells whether two mutations ask for the same."""
    members = {name: getattr(asked, name) for name in _ASKED}
    # Not orjson: what it cannot spell is told by `asking`, member by member.
    spelled = json.dumps({"kind": kind, **members}, sort_keys=True)
    return sha256(spelled.encode()).digest()


async def before(claims: Claims, key: Key, schema: Schema) -> Understood | None:
    """What the key was claimed for, if it was. Raises Declined."""
    claimed = await claims.claimed(key.sync_id, key.name)
    return None if claimed is None else _the_same(claimed, key, schema)


async def claim(
    claims: Claims, key: Key, understood: Understood, schema: Schema
) -> Understood | None:
    """Claims the key. None if nobody has it; else what it was claimed for a moment ago.

    Raises Declined if that was another mutation.
    """
    claimed = await claims.claim(key.sync_id, key.name, key.mark, _kept(*understood))
    return None if claimed is None else _the_same(claimed, key, schema)


def _the_same(claimed: Claimed, key: Key, schema: Schema) -> Understood:
    if claimed.fingerprint != key.mark:
        raise Declined(
            "idempotency_key_reused",
            "This Idempotency-Key belongs to a mutation of another kind, or of other records"
            " or values. Nothing was sent; use a new key.",
            idempotency.HEADER,
        )
    return _read(claimed.body, schema)


def _kept(aim: Aim, records: Sequence[Wanted]) -> bytes:
    return orjson.dumps(
        {
            "collection": aim.collection.id,
            "kind": aim.kind,
            "match": aim.match,
            "typecast": aim.typecast,
            "records": [(each.key, each.values, dict(each.more)) for each in records],
        }
    )


def _read(kept: bytes, schema: Schema) -> Understood:
    """What `_kept` wrote. Raises Declined if the collection has left the sync since."""
    told: dict[str, Any] = orjson.loads(kept)
    collection = schema.find(told["collection"])
    if collection is None:
        raise Declined(
            "unknown_collection",
            "The mutation with this Idempotency-Key was begun; its collection is no longer"
            " in the sync, so nothing more of it is sent or told.",
            "collection_id",
        )
    kind, match = MutationKind(told["kind"]), tuple(told["match"])
    records = tuple(
        Wanted(place, None if key is None else tuple(key), values, more)
        for place, (key, values, more) in enumerate(told["records"])
    )
    return Aim(collection, kind, match, told["typecast"]), records

"""What a credential reaches: its account's collections and their fields.

What was found is kept, and told from there: asking the API takes a call or a hundred.
`refresh` asks anew, and lets the tables of the credential's syncs follow.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, cast

from pydantic import Field, TypeAdapter, ValidationError

from httpproxy.management.credentials.service import Credentials
from httpproxy.management.models import Model, Moment
from httpproxy.management.naming import public_id_of
from httpproxy.management.paging import Page, page_among
from httpproxy.office import Office
from httpproxy.store.credentials.values import Credential
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.plain import public_names
from providers.record import JSON, Collection
from providers.record import Field as FieldOfRecord
from providers.spec import Provider, Refused, Unrecognised

_USERS: Final = 10_000


class FieldDocument(Model):
    """A field of a collection.

    `name` is what records have it under, here and in streams and mutations; `upstream_id` is
    the provider's own. `type` is the provider's, `column_type` the type of its column.
    `options` are the values that an enumeration takes, as far as they are known.
    """

    name: str
    upstream_id: str | None = Field(description="Null for what every record has, such as id.")
    type: str
    column_type: str
    primary_key: bool
    writable: bool
    options: list[str] | None


class CollectionDocument(Model):
    """A type of record: a table at Airtable, contacts at HubSpot."""

    id: str = Field(description="What syncs, streams and mutations name it by.")
    upstream_id: str
    name: str
    primary_key: list[str] = Field(description="Names of the fields that identify a record.")
    fields: list[FieldDocument]
    discovered_at: Moment


_KEPT: Final = TypeAdapter(list[CollectionDocument])


class Collections:
    """Manages what credentials reach. Raises Declined; Refused, Unrecognised and Rejected
    where the API said no; Unavailable when the database is away."""

    def __init__(self, office: Office, credentials: Credentials) -> None:
        self._office = office
        self._store = office.registry.credentials
        self._credentials = credentials

    async def page(
        self, credential: str, limit: int, cursor: str | None
    ) -> Page[CollectionDocument]:
        """What a credential was last seen to reach; the API is asked if nobody has yet."""
        found = await self._credentials.found(credential)
        there = await self._kept(found)
        if there is None:
            there, _ = await self._discovered(found)
        return page_among(there, limit, cursor, lambda each: (each.id,))

    async def refresh(self, credential: str, limit: int) -> Page[CollectionDocument]:
        """Asks the API anew; the tables of the credential's syncs follow what it says.

        A sync that covers all of its account covers what is new; others stay with the
        collections that they have. Raises Unavailable, too, if somebody holds a table.
        """
        found = await self._credentials.found(credential)
        there, collections = await self._discovered(found)
        for id_, _ in await self._store.users(found.id, _USERS):
            sync = await self._office.registry.sync(id_)
            if sync is not None:
                await self._follow(sync, collections)
        return page_among(there, limit, None, lambda each: (each.id,))

    async def _follow(self, sync: Sync, collections: tuple[Collection, ...]) -> None:
        following = self._office.registry.following
        covered = {each.table.collection.id for each in await following.layouts(sync.id)}
        wanted = [each for each in collections if sync.covers_all or each.id in covered]
        await following.follow(sync.id, wanted)

    async def _kept(self, credential: Credential) -> list[CollectionDocument] | None:
        kept = await self._store.discovery(credential.id)
        if kept is None:
            return None
        try:
            return _KEPT.validate_python(_dated(kept[0], kept[1]))
        except ValidationError:  # kept by another version
            return None

    async def _discovered(
        self, credential: Credential
    ) -> tuple[list[CollectionDocument], tuple[Collection, ...]]:
        provider = PROVIDERS[credential.provider]
        token = await self._credentials.token(credential)
        conversations, account = self._office.conversations, credential.account
        try:
            collections = await conversations.discover(provider, account, token, ())
        except Refused as no:
            if no.response.status == 401:
                raise Unrecognised from no
            raise
        told = [_told(provider, each) for each in collections]
        at = await self._store.keep_discovery(credential.id, cast("JSON", told))
        return _KEPT.validate_python(_dated(told, at)), collections


def _dated(kept: Any, at: datetime) -> list[dict[str, Any]]:
    return [{**each, "discovered_at": at} for each in kept]


def _told(provider: Provider, collection: Collection) -> dict[str, Any]:
    names = public_names(collection)
    return {
        "id": public_id_of(provider, collection),
        "upstream_id": collection.id,
        "name": collection.name,
        "primary_key": [names[id_] for id_ in collection.key],
        "fields": [_field(collection, each, names[each.id]) for each in collection.fields],
    }


def _field(collection: Collection, field: FieldOfRecord, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "upstream_id": None if field.id.startswith("$") else field.id,
        "type": field.type,
        "column_type": field.column_type.value,
        "primary_key": field.id in collection.key,
        "writable": field.writable,
        "options": None if field.options is None else list(field.options),
    }

"""What there is, as a plan compares it with a file and an export writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

from httpproxy.management.columns import ColumnDocument
from httpproxy.management.paging import MAX_LIMIT
from httpproxy.management.services import Services
from httpproxy.management.syncs.documents import SyncDocument, SyncFilters
from httpproxy.store.credentials.apps import App, Apps
from httpproxy.store.credentials.values import Credential, CredentialFilter, TokenPair
from httpproxy.store.errors import KeyMismatch
from httpproxy.store.registry import Sync
from providers.credentials import AppKeys
from providers.record import Collection

_PAGE: Final = MAX_LIMIT


@dataclass(frozen=True, slots=True)
class StoredApp:
    """An OAuth app, opened; `keys` None: no key that is known opens it."""

    app: App
    keys: AppKeys | None

    @property
    def label(self) -> str:
        return self.app.name or self.app.id


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential, opened; `tokens` None: no key that is known opens it."""

    credential: Credential
    tokens: TokenPair | None

    @property
    def label(self) -> str:
        return self.credential.name or self.credential.id


@dataclass(frozen=True, slots=True)
class StoredSync:
    """A sync. `collections` and `columns` are there for those that were asked for."""

    document: SyncDocument
    collections: tuple[Collection, ...] = ()
    columns: tuple[ColumnDocument, ...] = ()


@dataclass(frozen=True)
class Current:
    """All that there is: apps and credentials by id, syncs by name, oldest first."""

    oauth_apps: Mapping[str, StoredApp] = field(default_factory=dict)
    credentials: Mapping[str, StoredCredential] = field(default_factory=dict)
    syncs: Mapping[str, StoredSync] = field(default_factory=dict)

    def app(self, id_or_name: str) -> StoredApp | None:
        """The app of this id, or else of this name."""
        return self.oauth_apps.get(id_or_name) or self._apps_by_name.get(id_or_name)

    def credential(self, id_or_name: str) -> StoredCredential | None:
        """The credential of this id, or else of this name."""
        found = self.credentials.get(id_or_name)
        return found or self._credentials_by_name.get(id_or_name)

    @cached_property
    def of_account(self) -> Mapping[tuple[str, str], StoredCredential]:
        """Credentials by provider and account: there is one for each."""
        return {
            (each.credential.provider, each.credential.account): each
            for each in self.credentials.values()
        }

    @cached_property
    def of_client(self) -> Mapping[tuple[str, str], StoredApp]:
        """Apps by provider and client id."""
        return {(each.app.provider, each.app.client_id): each for each in self._all_apps}

    @property
    def _all_apps(self) -> tuple[StoredApp, ...]:
        return tuple(self.oauth_apps.values())

    @cached_property
    def _apps_by_name(self) -> Mapping[str, StoredApp]:
        return {each.app.name: each for each in self._all_apps if each.app.name}

    @cached_property
    def _credentials_by_name(self) -> Mapping[str, StoredCredential]:
        stored = self.credentials.values()
        return {each.credential.name: each for each in stored if each.credential.name}


async def read_current(services: Services, detailed: Callable[[str], bool]) -> Current:
    """What there is now. For syncs whose names are `detailed`, their collections and columns
    are read, too: some statements each."""
    office = services.office
    apps = Apps(office.database, office.vault)
    return Current(
        {each.app.id: each for each in await _apps(apps)},
        {each.credential.id: each for each in await _credentials(services)},
        {each.document.name: each for each in await _syncs(services, detailed)},
    )


async def _apps(apps: Apps) -> list[StoredApp]:
    found: list[StoredApp] = []
    after: tuple[str, str] | None = None
    while rows := await apps.page(None, after, _PAGE):
        for row in rows:
            try:
                keys = await apps.keys(row.id)
            except KeyMismatch:
                keys = None
            found.append(StoredApp(row, keys))
        after = (rows[-1].created_at.isoformat(), rows[-1].id)
    return found


async def _credentials(services: Services) -> list[StoredCredential]:
    store = services.office.registry.credentials
    found: list[StoredCredential] = []
    after: tuple[str, str] | None = None
    while rows := await store.page(CredentialFilter(), after, _PAGE):
        for row in rows:
            try:
                tokens = store.open(row)
            except KeyMismatch:
                tokens = None
            found.append(StoredCredential(row, tokens))
        after = (rows[-1].created_at.isoformat(), rows[-1].id)
    return found


async def _syncs(services: Services, detailed: Callable[[str], bool]) -> list[StoredSync]:
    found: list[StoredSync] = []
    cursor: str | None = None
    while True:
        page = await services.syncs.page(SyncFilters(), _PAGE, cursor)
        found += [
            await in_detail(services, each) if detailed(each.name) else StoredSync(each)
            for each in page.items
        ]
        if (cursor := page.next) is None:
            return found


async def in_detail(services: Services, document: SyncDocument) -> StoredSync:
    """A sync with its collections and columns."""
    sync = await services.office.registry.sync(document.id)
    if sync is None:  # deleted a moment ago
        return StoredSync(document)
    tables = await services.office.registry.tables(sync)
    columns = await _columns(services, sync)
    return StoredSync(document, tables.schema.collections, tuple(columns))


async def _columns(services: Services, sync: Sync) -> list[ColumnDocument]:
    page = partial(services.columns.page, sync, None, _PAGE)
    found: list[ColumnDocument] = []
    cursor: str | None = None
    while True:
        one = await page(cursor)
        found += one.items
        if (cursor := one.next) is None:
            return found

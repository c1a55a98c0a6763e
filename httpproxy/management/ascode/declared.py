"""The file that says which OAuth apps, credentials and syncs there are to be: its models, and
how it is read. Pure.

    [credentials.acme]             the table's name is the credential's
    kind = "airtable_token"
    access_token = "env:ACME_TOKEN"

    [syncs.acme-crm]
    provider = "airtable"
    credential = "acme"

A secret never stands in it, but a reference to where it is: `env:NAME`, `file:/path`. What
nobody knows is refused, and everything that is wrong is told at once, with table and member.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from httpproxy.management.columns import ColumnPatch
from httpproxy.management.models import Metadata, Model, Name, RateLimit, Text, Wrong, wrongs
from httpproxy.management.syncs.documents import CollectionIds, RateLimits, Status

M = TypeVar("M", bound=Model)

REFERENCES: Final = ("env:", "file:")
OAUTH_APPS, CREDENTIALS, SYNCS = "oauth_apps", "credentials", "syncs"


class Misdeclared(Exception):
    """What the file says cannot be; `wrongs` has every place and why."""

    def __init__(self, wrongs_: list[Wrong]) -> None:
        super().__init__("\n".join(f"{each.member} {each.detail}".strip() for each in wrongs_))
        self.wrongs = wrongs_


def _is_reference(text: str) -> str:
    if not any(text.startswith(kind) and text != kind for kind in REFERENCES):
        raise ValueError(
            'must be "env:NAME" or "file:/path": a secret does not stand in this file'
        )
    return text


def _from_json(value: object) -> object:
    """Metadata as a text of JSON: what TOML cannot say (null) is said so."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"must be a table, or a text of JSON: {error}") from error


Reference = Annotated[str, AfterValidator(_is_reference)]
DeclaredMetadata = Annotated[Metadata, BeforeValidator(_from_json)]
Columns = dict[str, dict[str, ColumnPatch]]


class DeclaredApp(Model):
    """An OAuth app; the table's name is its name."""

    provider: Text
    client_id: Text
    client_secret: Reference | None = None


class DeclaredCredential(Model):
    """A credential; the table's name is its name, or its id if it has none."""

    kind: Text
    provider: Text | None = None
    access_token: Reference
    refresh_token: Reference | None = None
    expires_in: float | None = Field(None, ge=0, le=1e9, allow_inf_nan=False)
    oauth_app: Text | None = None
    base_id: Text | None = None
    portal_id: Text | int | None = None
    metadata: DeclaredMetadata = Field(default_factory=dict)

    @property
    def account(self) -> str | None:
        """The account that it names, None if the token is to tell."""
        named = self.base_id if self.base_id is not None else self.portal_id
        return None if named is None else str(named)


class DeclaredSync(Model):
    """A sync; the table's name is its name.

    credential  a table of the file, or the id or name of one that is stored; a sync that
                there is keeps its own if none is named
    columns     collection -> field -> what is wanted; others are nobody's business here
    """

    model_config = ConfigDict(populate_by_name=True)

    provider: Text
    credential: Text | None = None
    account: Text | None = None
    schema_: Name | None = Field(None, alias="schema")
    collection_ids: CollectionIds | None = None
    rate_limit: RateLimit | None = None
    rate_limits: RateLimits = Field(default_factory=dict)
    external_id: Name | None = None
    metadata: DeclaredMetadata = Field(default_factory=dict)
    status: Status = "active"
    columns: Columns = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file says, by name."""

    oauth_apps: Mapping[str, DeclaredApp] = field(default_factory=dict)
    credentials: Mapping[str, DeclaredCredential] = field(default_factory=dict)
    syncs: Mapping[str, DeclaredSync] = field(default_factory=dict)

    def references(self) -> Iterator[str]:
        """Where the secrets are."""
        for app in self.oauth_apps.values():
            yield from filter(None, (app.client_secret,))
        for each in self.credentials.values():
            yield from filter(None, (each.access_token, each.refresh_token))


_SECTIONS: Final[Mapping[str, type[Model]]] = {
    OAUTH_APPS: DeclaredApp,
    CREDENTIALS: DeclaredCredential,
    SYNCS: DeclaredSync,
}
_NAME: Final = TypeAdapter(Name)


def at(section: str, name: str, member: str = "") -> str:
    """A place in the file: `[syncs.acme] rate_limit.interval`."""
    return f"[{section}.{name}] {member}".strip()


def read(text: str) -> Declared:
    """What the text of a file declares. Raises Misdeclared."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misdeclared([Wrong(member="", detail=f"This is no TOML: {error}.")]) from error
    found: list[Wrong] = [
        Wrong(member=f"[{name}]", detail=f"there is no such table; there are {_there()}.")
        for name in tables
        if name not in _SECTIONS
    ]
    read_: dict[str, dict[str, Any]] = {}
    for section, kind in _SECTIONS.items():
        read_[section] = _section(section, kind, tables.get(section, {}), found)
    if found:
        raise Misdeclared(found)
    return Declared(**read_)


def _section(section: str, kind: type[M], tables: object, found: list[Wrong]) -> dict[str, M]:
    """The tables of a section, by name; what is wrong with them goes into `found`."""
    if not isinstance(tables, dict):
        found.append(Wrong(member=f"[{section}]", detail="must be a table of tables."))
        return {}
    there: dict[str, M] = {}
    for name, table in tables.items():
        try:
            _NAME.validate_python(name)
            there[name] = kind.model_validate(table)
        except ValidationError as error:
            found += [
                Wrong(member=at(section, name, each.member), detail=f"{each.detail}.")
                for each in wrongs(error)
            ]
    return there


def _there() -> str:
    return ", ".join(f"[{name}.…]" for name in _SECTIONS)

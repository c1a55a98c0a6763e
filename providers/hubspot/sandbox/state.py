"""What a simulated HubSpot remembers, as plain values that dump to JSON and load again.

Moments are seconds since the epoch. Everything hangs below `World`; a dump is all of it
as JSON, and `load` is the way back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from providers.record import JSON

Definition = dict[str, JSON]
FIRST_RECORD: Final = 50_000_000_001


def stamp(moment: float) -> str:
    """A moment as HubSpot writes it: "2026-11-21T12:00:00.123Z"."""
    text = datetime.fromtimestamp(round(moment * 1000) / 1000, UTC).isoformat(
        timespec="milliseconds"
    )
    return text.replace("+00:00", "Z")


@dataclass(slots=True)
class Token:
    """A credential: which portal and app it stands for, and what it may do.

    `scopes` ["*"] may do everything. An OAuth app's is good until `expires`; None: it was
    not used yet, from when on its time runs.
    """

    portal: int
    kind: str  # "private" or "oauth"
    app: int
    user: int
    scopes: list[str] = field(default_factory=lambda: ["*"])
    expires: float | None = None


@dataclass(slots=True)
class Version:
    """A record as it was from `since` on, for the search index that lags behind."""

    since: float
    properties: dict[str, str | None]
    live: bool


@dataclass(slots=True)
class Record:
    id: str
    created: float
    updated: float
    properties: dict[str, str | None] = field(default_factory=dict)
    archived: float | None = None
    # name -> [[moment, value], …], the newest first; only of what has changed since
    # the record was made
    history: dict[str, list[list[Any]]] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)


@dataclass(slots=True)
class ObjectKind:
    """An object type of one portal, with its records.

    `merged` leads from ids that were merged away to the id they became; `gone` holds
    records that were deleted for good; `holders` of a unique property's values are the
    last records that were given them. `schema` is set for custom types alone.
    """

    id: str
    plural: str
    singular: str
    spellings: list[str]
    defaults: list[str]
    created_property: str
    modified_property: str
    properties: dict[str, Definition] = field(default_factory=dict)
    archived_properties: dict[str, Definition] = field(default_factory=dict)
    groups: dict[str, Definition] = field(default_factory=dict)
    pipelines: dict[str, Definition] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    gone: dict[str, Record] = field(default_factory=dict)
    holders: dict[str, dict[str, str]] = field(default_factory=dict)
    schema: Definition | None = None


@dataclass(slots=True)
class AssociationType:
    """A way in which records of one type can belong to those of another."""

    id: int
    category: str
    name: str
    label: str | None
    inverse: int


@dataclass(slots=True)
class Portal:
    """One account. `links`: "0-1>0-2" -> from -> to -> association type ids."""

    id: int
    kinds: dict[str, ObjectKind] = field(default_factory=dict)
    association_types: dict[str, list[AssociationType]] = field(default_factory=dict)
    links: dict[str, dict[str, dict[str, list[int]]]] = field(default_factory=dict)
    owners: dict[str, Definition] = field(default_factory=dict)
    lists: dict[str, Definition] = field(default_factory=dict)
    next_record: int = FIRST_RECORD
    next_number: int = 1

    def number(self) -> int:
        """The next small id: label types, pipelines, lists, groups."""
        self.next_number += 1
        return self.next_number - 1

    def find(self, spelling: str) -> ObjectKind | None:
        """The object type of a path segment."""
        kind = self.kinds.get(spelling)
        if kind is not None:
            return kind
        wanted = spelling.lower()
        return next((k for k in self.kinds.values() if wanted in k.spellings), None)


@dataclass(slots=True)
class World:
    """Every portal, every token, and what the rate limits count.

    `calls`: app ("48000001/7") -> moments of its last ten seconds; `searches`: portal
    -> moments of the last second; `days`: portal -> [day, calls]. `apps`: client id of an
    OAuth app -> its secret; `grants`: refresh token -> [client id, an access token of it].
    """

    portals: dict[str, Portal] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    calls: dict[str, list[float]] = field(default_factory=dict)
    searches: dict[str, list[float]] = field(default_factory=dict)
    days: dict[str, list[int]] = field(default_factory=dict)
    answered: int = 0
    apps: dict[str, str] = field(default_factory=dict)
    grants: dict[str, list[str]] = field(default_factory=dict)


def dump(world: World) -> JSON:
    state: JSON = orjson.loads(orjson.dumps(world))  # much faster than dataclasses.asdict
    return state


def load(state: Any) -> World:
    """The World of a dump. Raises KeyError, TypeError or AttributeError for another value."""
    return World(
        **{
            **state,
            "portals": {k: _portal(v) for k, v in state["portals"].items()},
            "tokens": {k: Token(**v) for k, v in state["tokens"].items()},
        }
    )


def _portal(state: dict[str, Any]) -> Portal:
    return Portal(
        **{
            **state,
            "kinds": {k: _kind(v) for k, v in state["kinds"].items()},
            "association_types": {
                k: [AssociationType(**each) for each in v]
                for k, v in state["association_types"].items()
            },
        }
    )


def _kind(state: dict[str, Any]) -> ObjectKind:
    return ObjectKind(
        **{
            **state,
            "records": {k: _record(v) for k, v in state["records"].items()},
            "gone": {k: _record(v) for k, v in state["gone"].items()},
        }
    )


def _record(state: dict[str, Any]) -> Record:
    return Record(**{**state, "versions": [Version(**each) for each in state["versions"]]})

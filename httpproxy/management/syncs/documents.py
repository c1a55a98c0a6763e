"""The documents of syncs: what makes one, what can be set of one, what is told of one.

    NewSync       what makes a sync
    SyncFilters   what a list of them is asked for
    SyncPatch     a merge patch of what can be set
    Settable      all that can be set, as it is: what a patch is applied to, and tags are of
    SyncDocument  everything that is told, `health` and `connection` among it

Pure.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from httpproxy.management.credentials.entering import NewCredential
from httpproxy.management.models import (
    Metadata,
    Model,
    Moment,
    Name,
    RateLimit,
    RateLimitPatch,
    Text,
)
from httpproxy.management.paging import METADATA_FILTER
from httpproxy.sync.health import Phase

MOST_COLLECTIONS = 1000

Status = Literal["active", "paused"]
CollectionIds = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=500)]],
    Field(
        min_length=1,
        max_length=MOST_COLLECTIONS,
        description="Collections, by their public ids, or by the ids or names that the API"
        " has for them.",
    ),
]
RateLimits = Annotated[
    dict[str, RateLimit],
    Field(max_length=20, description="Rate limits by the names of the API's budgets."),
]


class NewSync(Model):
    """A sync to be made: discovered, and given a schema with a table for each collection."""

    model_config = ConfigDict(populate_by_name=True)

    provider: Text = Field(description="GET /v1/providers lists them.")
    name: Name | None = Field(
        None, description="Unique among syncs; made from provider and account if not given."
    )
    collection_ids: CollectionIds | None = Field(
        None, description="Without it all that the credential reaches, later ones too."
    )
    rate_limit: RateLimit | None = Field(
        None, description="The most that this sync may use of the API's main budget."
    )
    rate_limits: RateLimits | None = None
    credential: NewCredential | None = Field(
        None, description="Stored along with the sync; goes with the last sync that uses it."
    )
    credential_id: Text | None = Field(None, description="A credential that is stored already.")
    account: Text | None = Field(
        None, description="The account at the API; the credential tells it mostly."
    )
    schema_: Name | None = Field(
        None, alias="schema", description="The Postgres schema; made up if not given."
    )
    external_id: Name | None = Field(None, description="Your own id of it, unique.")
    metadata: Metadata = Field(default_factory=dict)
    status: Status = "active"


class SyncPatch(Model):
    """A merge patch (RFC 7396): what it does not name stays, and null takes a member away."""

    name: Name | None = Field(None, description="Cannot be taken away.")
    status: Status | None = Field(None, description="null: active.")
    collection_ids: CollectionIds | None = Field(
        None,
        description="The collections that it has from now on: what is new gets a table, what"
        " is left out is no longer synced and keeps its table. null: all that there are.",
    )
    rate_limit: RateLimitPatch | None = Field(None, description="null: the provider's default.")
    rate_limits: dict[str, RateLimitPatch | None] | None = None
    credential_id: Text | None = Field(
        None, description="Another credential of the same account."
    )
    external_id: Name | None = None
    metadata: Metadata | None = Field(None, description="Merged, member by member.")


class SyncFilters(Model):
    """Which syncs a list has; all that is given must fit."""

    provider: Text | None = None
    name: Name | None = Field(default=None, description="Exactly this name.")
    external_id: Name | None = Field(default=None, description="Your own id of it.")
    status: Status | None = None
    health: Phase | None = Field(
        default=None,
        description="The phase of the sync as a whole, as `health.phase` tells it.",
    )
    credential_id: Text | None = None
    metadata: str | None = METADATA_FILTER


class Settable(Model):
    """All that can be set of a sync, as it is. `collection_ids` null: all that there are."""

    name: Name
    status: Status = "active"
    external_id: Name | None = None
    metadata: Metadata = Field(default_factory=dict)
    collection_ids: list[Text] | None = None
    rate_limits: RateLimits = Field(default_factory=dict)
    credential_id: Text | None = None


class CollectionHealth(Model):
    """How one collection is. `rows`, `marks`, `share` and `requests` are counted for a single
    sync, and null in lists.

    phase      waiting, backfill, live, sweep, held, failing, paused, removed
    records    read so far by the listing under way, 0 without one
    share      how much of it that is, 0 to 1; null where nobody knows how much there is
    lag        seconds since its feed, or a listing, last told of it; null: not yet
    marks      records that are marked to be read again
    since      when what is wrong began
    error      what is wrong, in the API's own words where it said so
    checked    rows that were compared with the API, and of them `drifted`
    """

    collection_id: str
    name: str
    table: str
    phase: Phase
    records: int
    share: float | None
    rows: int | None
    followed: bool
    lag: float | None
    succeeded_at: Moment | None
    marks: int | None
    since: Moment | None
    error: str | None
    remedy: str | None
    failures: int
    requests: dict[str, int] | None
    checked: int
    drifted: int


class HealthDocument(Model):
    """How a sync is: as the collection that needs somebody most.

    `ok`: nothing is wrong with any collection; else `error` and `remedy` are of the first.
    """

    phase: Phase
    ok: bool
    error: str | None
    remedy: str | None
    collections: list[CollectionHealth]


class TableFacts(Model):
    """A collection's table, as SQL names it."""

    collection_id: str
    table: str


class Connection(Model):
    """Where the tables are: what a SQL client needs besides its own user and password. Host
    and port are those by which httpproxy itself reaches the database."""

    model_config = ConfigDict(populate_by_name=True)

    host: str
    port: int
    database: str
    schema_: str = Field(alias="schema")
    tables: list[TableFacts]


class RateLimitOfSync(Model):
    """The most calls in any window of `interval` seconds, and at once (0: no cap)."""

    allowed_requests: int
    interval: float
    max_concurrent_requests: int


class RateLimitInForce(RateLimitOfSync):
    """A rate limit, and whether it was set, or is the provider's default, which gives way to
    what the API's answers state."""

    source: Literal["set", "default"]


class SyncDocument(Model):
    """A sync.

    covers_all    it takes in collections that the account gets later
    rate_limit    that of the API's main budget; all of them are in `rate_limits`
    api_root      what a client takes as its base URL: whoever knows it may try tokens
    """

    model_config = ConfigDict(populate_by_name=True)

    id: str
    name: str
    provider: str
    account: str
    status: Status
    external_id: str | None
    metadata: dict[str, JsonValue]
    collection_ids: list[str]
    covers_all: bool
    rate_limit: RateLimitOfSync
    rate_limits: dict[str, RateLimitInForce]
    credential_id: str | None
    api_root: str
    schema_: str = Field(alias="schema")
    connection: Connection
    health: HealthDocument
    created_at: Moment
    updated_at: Moment

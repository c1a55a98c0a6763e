"""The vocabulary in which a provider describes its API.

A provider is one `Provider` value: tables (hosts, routes, budgets, credential
kinds) and pure functions. The engine that walks the tables is `providers.routing`.

What takes several calls, discovery for one, is a *conversation*: a generator that
yields Requests, is sent the Responses, and returns its result. It decides; whoever
drives it does the I/O, adds the credential and waits for permits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from providers.credentials import CredentialKind, Inspection
from providers.http import Request, Response
from providers.mutating import MutationDialect
from providers.record import JSON, Change, Collection, Field, Image, Schema
from providers.sandbox import SandboxKit
from providers.selection import Without

T = TypeVar("T")
Conversation = Generator[Request, Response, T]


class Action(StrEnum):
    """What a route does, and so what the gateway does about it.

    WRITE   changes records, and the answer says how: commit it before answering
    READ    changes nothing: pass through
    EFFECT  changes something that the answer does not tell: pass through, mark dirty
    """

    WRITE = "write"
    READ = "read"
    EFFECT = "effect"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its 2xx answer, and the decoded variables of the matched path."""

    request: Request
    response: Response
    variables: Mapping[str, str]


class Unreadable(ValueError):
    """A 2xx answer that we cannot read: unknown encoding, not JSON, too large.

    Never an error for the client: the route's collection is marked dirty instead.
    """


Reader = Callable[[Exchange, Schema], Change]


class DraftKind(StrEnum):
    """What a request is meant to do to a record.

    TOUCH  something that the request alone does not tell (a merge, an association)
    """

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    TOUCH = "touch"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a request is meant to do to one record, read from the request alone.

    key     None where the API chooses it (CREATE), where the record is named by a value,
            or where the whole collection is meant (TOUCH)
    match   (field id, value): names the record where the request does so by a unique value
    values  field id -> what the request sets, in the form that the column takes
    faults  what the API will refuse by the schema as it is known; each names the field and
            the remedy
    """

    collection: str
    kind: DraftKind
    key: tuple[str, ...] | None = None
    match: tuple[str, str] | None = None
    values: Mapping[str, JSON] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


Drafter = Callable[[Request, Mapping[str, str], Schema], tuple[Draft, ...]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a provider's route table.

    `path` is a template: "/v0/{base}/{table}/{record}". A variable takes exactly one
    segment; "{rest...}" at the end takes all that is left. Literal segments win over
    variables. `name` is unique within the provider ("update record"). `commits` says
    in a few words what a 2xx does to the database; it becomes the README's table.
    `read` turns the exchange into a Change; a READ route has none. `draft` tells from
    (request, decoded path variables, schema) what a request is meant to do: of a request
    whose answer was lost, nothing else is known. It leaves out collections that the schema
    does not have and raises Unreadable for a body that cannot be read. A READ route has none.
    """

    name: str
    method: str
    path: str
    action: Action
    commits: str = "nothing"
    read: Reader | None = None
    draft: Drafter | None = None
    budget: str = "standard"
    host: str | None = None  # None: the provider's first host


@dataclass(frozen=True, slots=True)
class Budget:
    """A rate limit of the API: `allowed_requests` in any window of `interval` seconds.

    `max_concurrent_requests` 0 means no cap.
    """

    name: str
    allowed_requests: int
    interval: float
    max_concurrent_requests: int = 0


class Refused(Exception):
    """An API said no to a call of ours; `remedy` tells the operator what to do.

    `spent`: said of a refresh token that is of no use any more; trying again is vain.
    """

    def __init__(
        self, response: Response, said: str, remedy: str, *, spent: bool = False
    ) -> None:
        super().__init__(f"{said} ({response.status}). {remedy}")
        self.response, self.said, self.remedy, self.spent = response, said, remedy, spent


class ListingExpired(Exception):
    """A listing cannot go on from where it was: it has to begin again.

    Airtable's iterators end after some minutes without a call.
    """


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a collection's listing.

    `change` holds an image of each record, or, where a listing need only tell ids and
    versions, a Dirty mark with the version. `seen` are the keys of all records that the
    page accounts for. `after` says where the next page begins, in the provider's own
    words; None if this was the last.
    """

    change: Change
    seen: tuple[tuple[str, ...], ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    """A source that tells what has changed in some collections.

    `name` is unique within a sync and stays the same over restarts.
    """

    name: str
    collections: tuple[Collection, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a feed tells.

    change   what has changed since the state before: images, or marks of what to read
    state    where to go on; kept in the transaction that takes in the marks
    more     there is more to be heard at once
    missed   ids of collections in which something may have been missed (a feed that
             expired): they are to be listed anew
    refused  collection id -> why the API does not tell of it; the others go on
    """

    change: Change
    state: JSON
    more: bool = False
    missed: tuple[str, ...] = ()
    refused: Mapping[str, Refused] = field(default_factory=dict)


class UnknownCollection(Exception):
    """A collection was asked for that the account does not have."""

    def __init__(self, wanted: str, available: Sequence[str]) -> None:
        super().__init__(f"no collection {wanted!r}; there are: {', '.join(available)}")
        self.wanted, self.available = wanted, tuple(available)


class Unrecognised(Exception):
    """The API does not know this token (expired, revoked, mistyped)."""


@dataclass(frozen=True)
class Provider:
    """Everything the house knows of one API.

    hosts            upstream host names; the first is the main one. A target names one
                     of them byte for byte
    host_hints       host names that users mistake for it -> the right one
    routes           the route table; what it does not list is refused with our 404
    budgets          the API's own rate limits, by name; `Route.budget` names one
    default_rates    what a new sync is allotted per budget, unless it says otherwise
    token_hosts      hosts of token endpoints that are not among `hosts`: called by us
                     alone, the gateway forwards nothing to them
    account_variable the path variable that names the account (Airtable: "base"), or
                     None where only the token tells (HubSpot)
    account_property a credential's member that names the account ("base_id"); where the
                     token alone tells, it may be entered to be checked
    account_option   the CLI option that names the account, None if the token tells
    collection_option  the CLI option that names a collection ("table", "object")
    authorize        adds a credential's secret to a request of ours
    identify         token -> account, as a conversation; None where the path tells.
                     Raises Unrecognised for a token that the API does not know,
                     Refused for any other trouble
    inspect          (token, account or None) -> what the token is for and may do. With an
                     account: whether it reaches that. Raises Unrecognised, Refused
    handle           (upstream id, name) -> how a collection is called in what the house
                     tells: stable, and readable where the provider has such a name
    discover         (account, wanted spellings or None for all) -> collections with
                     their fields. Raises UnknownCollection, Refused
    read_records     (collection, record keys) -> one image per key: REPLACE, or DELETE
                     for those that are gone. Raises Refused
    list_created     (collection, since) -> an image (REPLACE) of every record that was
                     created at or after `since`, epoch seconds by our clock; some that are
                     a little older may be among them, for clocks differ. Tells what became
                     of a create whose answer was lost. Raises Refused
    list_page        (collection, after, thorough) -> the page that begins at `after`, None
                     for the first. `thorough`: with an image of every record (REPLACE);
                     else ids and versions will do where that is cheaper. All pages of a
                     listing together account for every record that there was all the
                     time. Raises ListingExpired, Refused
    feeds            (collections) -> the feeds that tell of changes in them; what no feed
                     covers is only listed
    listen           (feed, state, now) -> what has changed since `state`. With None it
                     opens the feed: from now on nothing is missed. `now` is epoch seconds.
                     May tell a change twice, never none. Raises Refused
    hang_up          (feed, state) -> ends what `listen` opened at the API, if it is there
                     still. Raises Refused
    plain            (collection, a record as the API spelled it) -> the same in the flat shape
                     of `providers.plain`; empty for what is no record
    omits_empty      whether the API, and so the flat shape, leaves empty fields out
    allowed          (budget name, response) -> the rate that an answer's headers state for
                     this account, None if they state none
    pause            seconds of silence that this answer asks for by the vendor's own
                     rules (a generic Retry-After is not its business), None if none; None
                     for a 429 means that waiting for minutes will not help (a spent quota)
    without          (collection, fields) -> what makes of an image one that holds nothing of
                     these fields: `providers.selection`
    refusal          (status, code, message, request_id) -> the members that the
                     provider's own clients look for in an error body
    mutations        how records are created, updated and deleted in one form for all
                     providers (`providers.mutating`)
    """

    name: str
    title: str
    hosts: tuple[str, ...]
    routes: tuple[Route, ...]
    budgets: tuple[Budget, ...]
    default_rates: tuple[Budget, ...]
    credential_kinds: tuple[CredentialKind, ...]
    collection_option: str
    authorize: Callable[[Request, str], Request]
    inspect: Callable[[str, str | None], Conversation[Inspection]]
    handle: Callable[[str, str], str]
    account_property: str
    discover: Callable[[str, tuple[str, ...] | None], Conversation[tuple[Collection, ...]]]
    read_records: Callable[
        [Collection, Sequence[tuple[str, ...]]], Conversation[tuple[Image, ...]]
    ]
    list_created: Callable[[Collection, float], Conversation[tuple[Image, ...]]]
    list_page: Callable[[Collection, str | None, bool], Conversation[Page]]
    feeds: Callable[[Sequence[Collection]], tuple[Feed, ...]]
    listen: Callable[[Feed, JSON, float], Conversation[Heard]]
    hang_up: Callable[[Feed, JSON], Conversation[None]]
    plain: Callable[[Collection, JSON], dict[str, JSON]]
    allowed: Callable[[str, Response], Budget | None]
    pause: Callable[[Response], float | None]
    without: Callable[[Collection, Sequence[Field]], Without]
    refusal: Callable[[int, str, str, str], dict[str, JSON]]
    mutations: MutationDialect
    sandbox: SandboxKit
    token_hosts: tuple[str, ...] = ()
    omits_empty: bool = False
    account_variable: str | None = None
    account_option: str | None = None
    identify: Callable[[str], Conversation[str]] | None = None
    host_hints: Mapping[str, str] = field(default_factory=dict)

"""What an operation of /v1 is: one line of a table, from which the router, the checks of
what is asked, and the OpenAPI document all follow.

    Operation   method, path, scope, what goes in and what comes out
    Ask         one request that has passed all checks
    Answer      what a handler returns

A handler is a plain function from an Ask to an Answer; what it cannot do, it declines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field, JsonValue

from httpproxy.api.house import House
from httpproxy.management.models import Model
from httpproxy.management.naming import unknown_sync
from httpproxy.management.paging import DEFAULT_LIMIT, MAX_LIMIT, Page
from httpproxy.management.problems import Declined
from httpproxy.store.registry import Sync
from httpproxy.store.secrets.keys import Key, Scope
from httpproxy.telemetry.course import Course

Reach = Literal["all", "sync"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns; it becomes JSON by the operation's `answer`.

    turn   the parameters that lead to the page that follows, for the Link header; none: this
           is the last
    etag   the document's tag
    """

    value: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    turn: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None

    @classmethod
    def of_page(cls, page: Page[Any]) -> Answer:
        """A page of a list."""
        return cls(page.items, turn={"cursor": page.next} if page.next else {})


@dataclass(frozen=True)
class Ask:
    """A request whose key, parameters and body are as the operation wants them.

    path   the variables of the path, decoded
    query  and `body`: the operation's models, None where it has none
    raw    the body as plain JSON: what a merge patch really names
    recheck  looks at the key again, for an answer that goes on and on. Raises Declined if
           it has been revoked, or has expired
    """

    house: House
    key: Key
    path: Mapping[str, str]
    query: Any
    body: Any
    raw: JsonValue
    request: web.Request
    request_id: str
    course: Course
    recheck: Callable[[], Awaitable[Key]]

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def if_match(self) -> str | None:
        """What the document is to be like still; a list may come in several fields."""
        return ", ".join(self.request.headers.getall("If-Match", ())) or None

    async def sync(self, id_or_name: str, member: str | None = None) -> Sync:
        """The sync of this id or name, if the key may have to do with it.

        Raises Declined: 404, or 400 if `member` says which member of the request named
        it; 403 for a key of another sync, whether this one is there or not.
        """
        found = await self.house.office.registry.sync(id_or_name)
        whose = found.id if found else None
        if self.key.sync_id is not None and self.key.sync_id != whose:
            raise Declined("key_not_allowed", "The API key is for another sync.", member)
        if found is None:
            raise unknown_sync(id_or_name, member)
        return found


class Listing(Model):
    """The parameters that every list has."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Items on a page.")
    cursor: str | None = Field(None, description="From the Link header of the page before.")


Handle = Callable[[Ask], Awaitable[Answer | web.StreamResponse]]


@dataclass(frozen=True)
class Operation:
    """A line of the table.

    scope    what the API key must allow; None: no key is needed
    reach    "all": keys of one sync are refused. "sync": the handler sees to it, by
             `Ask.sync`, or by `Ask.key.sync_id` where it lists
    query    a model of the parameters; a list in it is one that may be repeated
    answer   a model, or list[model]; None: no body
    status   of the answer, if the handler says nothing else
    others   further statuses that its answer can have, and what they mean
    problems codes of what it may decline, beyond what every operation may
    media    what it answers with besides JSON
    relays   the body is handed on as it comes: the handler reads it
    """

    method: str
    path: str
    scope: Scope | None
    handle: Handle
    summary: str
    tag: str
    description: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: Any = None
    status: int = 200
    others: Mapping[int, str] = field(default_factory=dict)
    reach: Reach = "all"
    problems: Sequence[str] = ()
    media: Sequence[str] = ()
    relays: bool = False

    @property
    def name(self) -> str:
        """What it is called in the OpenAPI document: its method and path, as one word."""
        words = self.path.removeprefix("/v1").replace("{", "").replace("}", "")
        return "_".join([self.method.lower(), *(w for w in words.split("/") if w)])

"""The simulated Airtable: one request in, one answer out.

In this order, as the real one does: is there such a route, is the URL short enough,
whose token is this, is it within its limits, may it do that here, can the body be read.
Handlers are a table by route name, and so are the scopes and permission levels that
they take; the routes are the provider's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from providers.airtable.credentials import TOKEN_HOST
from providers.airtable.sandbox import (
    comments,
    csvsync,
    listing,
    metadata,
    oauth,
    records,
    uploads,
    webhooks,
)
from providers.airtable.sandbox.call import Call, Volatile
from providers.airtable.sandbox.errors import (
    Refusal,
    bad_token,
    no_model,
    not_found,
    not_json,
    not_permitted,
    unauthenticated,
    url_too_long,
)
from providers.airtable.sandbox.limits import spend
from providers.airtable.sandbox.seed import seeded_world
from providers.airtable.sandbox.state import TokenState, dump_world, load_world
from providers.airtable.sandbox.switches import Switches
from providers.body import read_json
from providers.http import Request, Response, headers
from providers.record import JSON
from providers.routing import Router
from providers.spec import Unreadable

LONGEST_URL: Final = 16_000

Handler = Callable[[Call], JSON]

_WEBHOOKS: Final = "webhook:manage"

# route name -> (what answers, the scope it takes, the permission level it takes)
HANDLERS: Final[Mapping[str, tuple[Handler, str, str]]] = {
    "list records": (listing.by_query, "data.records:read", "read"),
    "list records by POST": (listing.by_body, "data.records:read", "read"),
    "get record": (records.get, "data.records:read", "read"),
    "create records": (records.create, "data.records:write", "edit"),
    "update records": (records.update_many, "data.records:write", "edit"),
    "replace records": (records.update_many, "data.records:write", "edit"),
    "update record": (records.update, "data.records:write", "edit"),
    "replace record": (records.update, "data.records:write", "edit"),
    "delete records": (records.delete_many, "data.records:write", "edit"),
    "delete record": (records.delete, "data.records:write", "edit"),
    "upload attachment": (uploads.upload, "data.records:write", "edit"),
    "sync CSV into table": (csvsync.post, "data.records:write", "edit"),
    "list comments": (comments.listing, "data.recordComments:read", "read"),
    "create comment": (comments.create, "data.recordComments:write", "comment"),
    "update comment": (comments.update, "data.recordComments:write", "comment"),
    "delete comment": (comments.delete, "data.recordComments:write", "comment"),
    "who am I": (metadata.whoami, "", ""),
    "list bases": (metadata.bases, "schema.bases:read", ""),
    "get base": (metadata.base, "schema.bases:read", "read"),
    "list tables": (metadata.tables, "schema.bases:read", "read"),
    "create base": (metadata.create_base, "schema.bases:write", ""),
    "create table": (metadata.create_table, "schema.bases:write", "create"),
    "update table": (metadata.update_table, "schema.bases:write", "create"),
    "create field": (metadata.create_field, "schema.bases:write", "create"),
    "update field": (metadata.update_field, "schema.bases:write", "create"),
    "read other metadata": (metadata.unlisted, "schema.bases:read", "read"),
    "create other metadata": (metadata.unlisted, "schema.bases:write", "create"),
    "update other metadata": (metadata.unlisted, "schema.bases:write", "create"),
    "replace other metadata": (metadata.unlisted, "schema.bases:write", "create"),
    "delete other metadata": (metadata.unlisted, "schema.bases:write", "create"),
    "list webhooks": (webhooks.listing, _WEBHOOKS, "read"),
    "list webhook payloads": (webhooks.payloads, _WEBHOOKS, "read"),
    "create webhook": (webhooks.create, _WEBHOOKS, "create"),
    "refresh webhook": (webhooks.refresh, _WEBHOOKS, "create"),
    "switch webhook notifications": (webhooks.enable, _WEBHOOKS, "create"),
    "delete webhook": (webhooks.delete, _WEBHOOKS, "create"),
}

_LEVELS: Final = ("none", "read", "comment", "edit", "create", "owner")


class AirtableSandbox:
    """A stateful simulator of Airtable (a providers.spec.Sandbox), freshly seeded.

    `world` may be changed directly, to seed whatever a test needs.
    """

    def __init__(self, router: Router, switches: Switches) -> None:
        self._router = router
        self.switches = switches
        self.world = seeded_world()
        self._volatile = Volatile()

    def handle(self, request: Request, now: float) -> Response:
        """Answers as Airtable would at `now` (seconds since the epoch)."""
        if request.host == TOKEN_HOST:
            return self._tokens(request, now)
        try:
            return self._answer(request, 200, self._result(request, now))
        except Refusal as refused:
            return self._answer(request, refused.status, {"error": refused.error})

    def dump(self) -> JSON:
        """The whole state as JSON; running listings and request counts are no part of it."""
        return dump_world(self.world)

    def load(self, state: JSON) -> None:
        """Takes over an earlier dump. Raises KeyError, TypeError for anything else."""
        self.world = load_world(state)
        self._volatile = Volatile()

    def _result(self, request: Request, now: float) -> JSON:
        found = self._router.match(request.method, request.host, request.path)
        if found is None:
            raise not_found(as_string=self.switches.missing_as_string)
        if len(f"https://{request.host}{request.target}") >= LONGEST_URL:
            raise url_too_long()
        call = Call(
            request=request,
            variables=found.variables,
            body=None,
            now=now,
            world=self.world,
            volatile=self._volatile,
            switches=self.switches,
            token=self._token(request, now),
        )
        spend(call)
        handler, scope, level = HANDLERS[found.route.name]
        _permit(call, scope, level)
        if handler is not csvsync.post:
            call.body = _body(request)
        return handler(call)

    def _tokens(self, request: Request, now: float) -> Response:
        try:
            body = oauth.refreshed(self.world, self.switches, request, now)
        except oauth.TokenRefused as refused:
            return self._answer(request, refused.status, refused.body)
        return self._answer(request, 200, body)

    def _token(self, request: Request, now: float) -> TokenState:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise unauthenticated()
        found = self.world.tokens.get(secret.strip())
        if found is None:
            raise bad_token()
        oauth.use(found, self.switches, now)
        return found

    def _answer(self, request: Request, status: int, body: JSON) -> Response:
        content = b"" if body is None else orjson.dumps(body)
        pairs = [("Content-Type", "application/json; charset=utf-8")]
        if (
            content
            and self.switches.gzip
            and "gzip" in request.headers.get("Accept-Encoding", "")
        ):
            packer = zlib.compressobj(wbits=31)  # 31: with a gzip header
            content = packer.compress(content) + packer.flush()
            pairs += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        return Response(status, headers(*pairs), content, _REASONS[status])


def _permit(call: Call, scope: str, level: str) -> None:
    scopes = call.token.scopes
    if scope and scopes is not None and scope not in scopes:
        raise no_model()
    if scope == _WEBHOOKS and not call.switches.webhooks_allowed:
        raise not_permitted()
    if level:
        granted = call.token.bases.get(call.variables["base"], "none")
        if granted == "none":
            raise no_model()
        if _LEVELS.index(granted) < _LEVELS.index(level):
            raise not_permitted()


def _body(request: Request) -> JSON:
    if not request.body:
        return None
    try:
        return read_json(request)
    except Unreadable as error:
        raise not_json() from error


_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    414: "URI Too Long",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
}

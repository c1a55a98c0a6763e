"""`/v1/proxy/…`: calls of the APIs themselves, by an API key, for a sync or a credential.

What stands behind the id goes to the API as it came: method, path, query, headers, body. The
answer is the API's, with our receipt beside it. What we cannot carry is answered as the
gateway does, in the form that the API's own clients read.

This origin is ours, and the gateway's is not: no cookie of this one goes out, and none that
an API sets comes in.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import web

from httpproxy.api.operations import Ask, Operation, Reach
from httpproxy.exchange.directory.apis import APIS
from httpproxy.exchange.messages.answers import Outgoing, refused
from httpproxy.exchange.messages.targets import MAX_TARGET, checked
from httpproxy.exchange.problems import Refusal, Rejected
from httpproxy.exchange.relay import Incoming
from httpproxy.management.problems import Declined
from httpproxy.telemetry.course import Course

log = logging.getLogger(__name__)

_SEGMENTS: Final = 5  # of /v1/proxy/sync/{id}/ and what follows
_FOR_AN_ORIGIN: Final = ("Set-Cookie", "Clear-Site-Data")

Carry = Callable[[Incoming, Course], Awaitable[Outgoing]]


async def by_sync(ask: Ask) -> web.StreamResponse:
    """A call of the sync's API, committed as one through its api_root is."""
    sync = await ask.sync(ask.path["sync_id"])
    return await _carried(ask, sync.provider, partial(ask.house.relay.by_sync, sync))


async def by_credential(ask: Ask) -> web.StreamResponse:
    """A call of the credential's API, committed for the one sync that uses it."""
    wanted = ask.path["credential_id"]
    credential = await ask.house.office.registry.credentials.get(wanted)
    if credential is None:
        detail = f"There is no credential {wanted[:80]!r}; GET /v1/credentials lists them."
        raise Declined("unknown_credential", detail)
    relay = ask.house.relay
    return await _carried(ask, credential.provider, partial(relay.by_credential, credential))


async def _carried(ask: Ask, provider: str, carry: Carry) -> web.StreamResponse:
    api, request = APIS.get(provider), ask.request
    if api is None:
        raise Declined("unknown_provider", f"This version has no provider {provider!r}.")
    try:
        path, mark, query = checked(request.raw_path, MAX_TARGET)
        target = path.split("/", _SEGMENTS)[_SEGMENTS] + mark + query
        content = await request.read()
        asked = Incoming(request.method, target, request.headers, content, ask.key)
        said = await carry(asked, ask.course)
    except Rejected as rejected:
        said = _refused(rejected, ask, api.provider.refusal)
    for name in _FOR_AN_ORIGIN:
        said.headers.popall(name, None)
    return web.Response(
        status=said.status, reason=said.reason, headers=said.headers, body=said.body
    )


def _refused(rejected: Rejected, ask: Ask, refusal: Refusal) -> Outgoing:
    kind, method = rejected.kind, ask.request.method
    if kind.status in (502, 504):  # what an operator can mend
        log.info("request %s refused: %s", ask.request_id, rejected)
    parts = ask.house.relay.parts
    parts.watch.refused(ask.course, method, kind.status, rejected.code, rejected.sent)
    return refused(rejected, method, ask.request_id, parts.pseudonym, refusal)


_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SYNC: Final[Reach] = "sync"
_ALL: Final[Reach] = "all"
_SAID: Final = (
    "What stands behind the id goes to the API as it came: perhaps one of its hosts, then its"
    " own path and query; nothing is decoded on the way. The key needs the scope `write` for"
    " what changes something. The answer is the API's own, with `Httpproxy-Commit`."
)

OPERATIONS: Final = tuple(
    Operation(
        method,
        path,
        "read",
        handle,
        f"Call the API {whose}",
        tag="proxy",
        description=_SAID,
        reach=reach,
        relays=True,
    )
    for path, handle, whose, reach in (
        ("/v1/proxy/sync/{sync_id}/{path}", by_sync, "of a sync", _SYNC),
        ("/v1/proxy/credential/{credential_id}/{path}", by_credential, "of a credential", _ALL),
    )
    for method in _METHODS
)

"""The simulator: one request in, one answer out, and the state in between."""

from __future__ import annotations

from typing import Final

import orjson

from providers.http import Request, Response
from providers.http import headers as header_pairs
from providers.hubspot.sandbox import (
    account,
    association_batches,
    associations,
    batch,
    definitions,
    labels,
    legacy,
    limits,
    lists,
    oauth,
    objects,
    pipelines,
    schemas,
    search,
    state,
)
from providers.hubspot.sandbox.errors import ApiError, unauthorized
from providers.hubspot.sandbox.index import Indexes
from providers.hubspot.sandbox.paths import Answer, Call, Paths
from providers.hubspot.sandbox.state import Token, World
from providers.hubspot.sandbox.switches import Switches
from providers.record import JSON

PATHS: Final = Paths(
    path
    for room in (
        account,
        association_batches,
        associations,
        batch,
        definitions,
        labels,
        legacy,
        lists,
        objects,
        pipelines,
        schemas,
        search,
    )
    for path in room.PATHS
)
_REASONS: Final = {
    200: "OK",
    201: "Created",
    204: "No Content",
    207: "Multi-Status",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    429: "Too Many Requests",
}


class HubSpotSandbox:
    """A simulated api.hubapi.com. `world` is its state, open to whoever tests with it."""

    def __init__(self, world: World, switches: Switches) -> None:
        self.world = world
        self.switches = switches
        self._indexes = Indexes()

    def dump(self) -> JSON:
        """The whole state as JSON."""
        return state.dump(self.world)

    def load(self, state_: JSON) -> None:
        """Takes over a dumped state. Raises KeyError or TypeError for anything else."""
        self.world = state.load(state_)
        self._indexes = Indexes()

    def handle(self, request: Request, now: float) -> Response:
        """The answer to a request at `now` (seconds since the epoch)."""
        token: Token | None = None
        try:
            answer = account.open_answer(self.world, request, now) or oauth.refreshed(
                self.world, self.switches, request, now
            )
            if answer is None:
                token = self._token(request, now)
                answer = self._answer(token, request, now)
        except ApiError as error:
            # Refused before anything is known of the caller: nothing is counted either.
            self.world.answered += token is not None
            return self._refusal(error, token, request, now)
        self.world.answered += 1
        return self._response(answer, token, request, now)

    def _token(self, request: Request, now: float) -> Token:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        token = self.world.tokens.get(secret.strip())
        if scheme.lower() != "bearer" or token is None:
            raise unauthorized()
        oauth.use(token, self.switches, now)
        return token

    def _answer(self, token: Token, request: Request, now: float) -> Answer:
        limits.spend(self.world, token, self.switches, now, search=_is_search(request))
        handler, variables = PATHS.find(request)
        portal = self.world.portals[str(token.portal)]
        about = (self.world, portal, token, self.switches)
        return handler(Call(*about, now, request, variables, self._indexes))

    def _refusal(
        self, error: ApiError, token: Token | None, request: Request, now: float
    ) -> Response:
        body = {**error.members, "correlationId": _correlation(self.world.answered)}
        return self._response((error.status, body), token, request, now)

    def _response(
        self, answer: Answer, token: Token | None, request: Request, now: float
    ) -> Response:
        status, body = answer
        pairs = [("X-HubSpot-Correlation-Id", _correlation(self.world.answered))]
        if token is not None and not _is_search(request):
            pairs += limits.headers(self.world, token, self.switches, now)
        content = b"" if status == 204 else orjson.dumps(body)
        if content:
            pairs.insert(0, ("Content-Type", "application/json;charset=utf-8"))
        return Response(status, header_pairs(*pairs), content, _REASONS.get(status, ""))


def _is_search(request: Request) -> bool:
    path = request.path.rstrip("/")
    return request.method == "POST" and "/objects/" in path and path.endswith("/search")


def _correlation(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"

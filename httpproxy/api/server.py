"""The second door's server: a table of routes, and what stands around each of them.

    /healthz    the process lives: its event loop turns
    /readyz     it should get calls, or why not
    /metrics    what happened so far
    /v1/wait    until a replica has what was committed

What begins with /v1 needs an API key. The rest is for probes and scrapers, which have
none; who may reach this port is the operator's to say (docs/operations.md).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import orjson
from aiohttp import web

from httpproxy.api import waiting
from httpproxy.api.looplag import LoopLag
from httpproxy.api.metrics import page
from httpproxy.api.metrics.samples import Part, Sample, of_process
from httpproxy.api.metrics.standing import StandingReader
from httpproxy.api.problems import Declined, document, problem
from httpproxy.api.readiness import Readiness
from httpproxy.api.siblings import Siblings
from httpproxy.store.errors import Unavailable
from httpproxy.store.replicas import Replicas
from httpproxy.store.secrets.keys import Key, Scope
from httpproxy.tasks import Tasks
from httpproxy.telemetry.course import Course, follow

log = logging.getLogger(__name__)

CLOSING_SECONDS: Final = 1.0  # who still waits for a replica then is sent away
_REQUEST_ID: Final = "X-Request-Id"

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Verifier(Protocol):
    """`store.secrets.keys.Keys`."""

    async def verify(self, text: str) -> Key | None: ...


class Route(NamedTuple):
    """A line of the table. `scope` is what the API key must allow, None: none is needed."""

    path: str
    handle: str
    scope: Scope | None = None


ROUTES: Final = (
    Route("/healthz", "health"),
    Route("/readyz", "ready"),
    Route("/metrics", "metrics"),
    Route("/v1/wait", "wait", "read"),
)


@dataclass(frozen=True)
class Outside:
    """What this door shows.

    parts        this process's metrics, each read at every scrape
    standing     what the database knows
    """

    version: str
    readiness: Readiness
    parts: Sequence[Part]
    standing: StandingReader
    replicas: Replicas
    keys: Verifier
    new_request_id: Callable[[], str]
    siblings: Siblings = field(default_factory=Siblings)


class Api:
    """The handlers."""

    def __init__(self, outside: Outside) -> None:
        self._o = outside
        self._interpreter = page.Interpreter()
        self.loop_lag = LoopLag()

    def application(self) -> web.Application:
        """The routes, each behind its scope, and all in this door's form of answers."""
        application = web.Application(middlewares=[self._around])
        for route in ROUTES:
            handle: Handle = getattr(self, route.handle)
            guarded = handle if route.scope is None else self._guarded(handle, route.scope)
            application.router.add_get(route.path, guarded)  # and HEAD
        return application

    # --- around every request ------------------------------------------------------------

    @web.middleware
    async def _around(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        request_id = self._o.new_request_id()
        follow(Course(request_id, request.headers))
        try:
            response = await handler(request)
        except Declined as declined:
            response = problem(declined, request_id)
        except web.HTTPException as refused:
            response = problem(_of_router(refused), request_id)
        except Unavailable:
            detail = "The database cannot be reached; try again in a moment."
            response = problem(Declined("database_unavailable", detail), request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            detail = f"The service failed; its log has the reason under {request_id}."
            response = problem(Declined("internal_error", detail), request_id)
        response.headers[_REQUEST_ID] = request_id
        return response

    def _guarded(self, handle: Handle, scope: Scope) -> Handle:
        async def guarded(request: web.Request) -> web.StreamResponse:
            kind, _, text = request.headers.get("Authorization", "").partition(" ")
            if kind.lower() != "bearer" or not text:
                raise Declined("key_required", "Send an API key: Authorization: Bearer hpk_….")
            key = await self._o.keys.verify(text.strip())
            if key is None:
                raise Declined("key_required", "This API key is unknown, expired or revoked.")
            if not key.allows(scope, key.sync_id):
                raise Declined("key_not_allowed", f"The API key lacks the scope {scope}.")
            return await handle(request)

        return guarded

    # --- the routes ----------------------------------------------------------------------

    async def health(self, _: web.Request) -> web.StreamResponse:
        """That this is answered says it all."""
        return document({"alive": True})

    async def ready(self, _: web.Request) -> web.StreamResponse:
        """This process's checks; with siblings, true if calls can go to one of them."""
        own = self._o.readiness.verdict().members()
        others = await self._o.siblings.ask("ready")
        if not others:
            return document(own, 200 if own["ready"] else 503)
        workers = {self._o.siblings.name: own}
        for name, told in others.items():
            workers[name] = orjson.loads(told) if told else _silent()
        ready = any(worker["ready"] for worker in workers.values())
        reasons = [
            f"worker {name}: {why}"
            for name, worker in sorted(workers.items())
            for why in worker["reasons"]
        ]
        members = {"ready": ready, "reasons": reasons, "workers": workers}
        return document(members, 200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """All workers' metrics, and what the database knows, once."""
        pages = [self._own_families()]
        for name, told in (await self._o.siblings.ask("metrics")).items():
            try:
                pages.append(page.parsed(told.decode()) if told else [])
            except ValueError:
                log.warning("worker %s: its metrics cannot be read", name)
        samples = await self._o.standing.samples()
        pages.append(page.families(samples, self._o.siblings.name))
        accept = ",".join(request.headers.getall("Accept", []))
        body, media_type = page.written(page.joined(pages), accept)
        return web.Response(body=body, headers={"Content-Type": media_type})

    async def wait(self, request: web.Request) -> web.StreamResponse:
        """Blocks until the replica has it, or the time is over: 200 either way."""
        wait = waiting.read_wait(request.query, self._o.replicas)
        return document(await waiting.waited(wait))

    # --- what siblings ask ---------------------------------------------------------------

    def answers(self) -> dict[str, Callable[[], bytes]]:
        """This process's own answers, for the worker that was asked from outside."""
        return {
            "ready": lambda: orjson.dumps(self._o.readiness.verdict().members()),
            "metrics": lambda: page.written(self._own_families(), "")[0],
        }

    def _own_families(self) -> list[Any]:
        outside, name = self._o, self._o.siblings.name
        verdict = outside.readiness.verdict()
        samples: list[Sample] = [
            *of_process(outside.version, verdict, self.loop_lag.worst),
            *(sample for part in outside.parts for sample in part()),
        ]
        return [*page.families(samples, name), *self._interpreter.families(name)]


def _silent() -> dict[str, Any]:
    return {"ready": False, "state": "unknown", "reasons": ["it does not answer"], "checks": []}


def _of_router(refused: web.HTTPException) -> Declined:
    """What aiohttp's router or parser refuses, in this door's words."""
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        declined = Declined("method_not_allowed", f"Here is only {allowed}.")
        declined.headers["Allow"] = allowed
        return declined
    if refused.status == 404:
        there = ", ".join(route.path for route in ROUTES)
        return Declined("not_found", f"There is nothing here; there are {there}.")
    return Declined("bad_request", "The request cannot be read.")


@asynccontextmanager
async def open_api(
    outside: Outside, host: str, port: int, sock: socket.socket | None = None
) -> AsyncIterator[str]:
    """Listens, on a socket that was handed in or on one of its own; yields its URL.

    Open it before the gateway, so that it closes after it: a process that drains says so.
    Raises OSError if the port is taken.
    """
    api = Api(outside)
    runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=CLOSING_SECONDS)
    async with Tasks() as tasks, outside.siblings.answering(api.answers()):
        tasks.start(outside.readiness.keep(), "readiness")
        tasks.start(api.loop_lag.keep(), "loop lag")
        await runner.setup()
        try:
            site: web.BaseSite = (
                web.TCPSite(runner, host, port) if sock is None else web.SockSite(runner, sock)
            )
            await site.start()
            address = runner.addresses[0]
            at = f"[{address[0]}]" if ":" in address[0] else address[0]
            yield f"http://{at}:{address[1]}"
        finally:
            await runner.cleanup()

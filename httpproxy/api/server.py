"""The second door's server: probes and metrics, and the operations of /v1.

    /healthz           the process lives: its event loop turns
    /readyz            it should get calls, or why not
    /metrics           what happened so far
    /v1/openapi.json   what there is under /v1
    /v1/…              the operations of `routes`: each needs an API key

What needs no key is for probes and scrapers, which have none; who may reach this port is
the operator's to say (docs/operations.md).
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Final

import orjson
from aiohttp import web

from httpproxy.api.answering import response_of
from httpproxy.api.asking import body_of, key_of, query_of
from httpproxy.api.connection import Connection
from httpproxy.api.house import House
from httpproxy.api.looplag import LoopLag
from httpproxy.api.metrics import page
from httpproxy.api.metrics.samples import Part, Sample, of_process
from httpproxy.api.metrics.standing import StandingReader
from httpproxy.api.openapi import openapi
from httpproxy.api.operations import Answer, Ask, Operation
from httpproxy.api.problems import declined, document, problem
from httpproxy.api.readiness import Readiness
from httpproxy.api.routes import OPERATIONS
from httpproxy.api.served import Served
from httpproxy.api.siblings import Siblings
from httpproxy.management.problems import Declined
from httpproxy.sockets import accepting, listen
from httpproxy.store.secrets.keys import Keys
from httpproxy.tasks import Tasks
from httpproxy.telemetry.course import Course, follow

log = logging.getLogger(__name__)

CLOSING_SECONDS: Final = 1.0  # who still waits for something then is sent away
_REQUEST_ID: Final = "X-Request-Id"
_COURSE: Final = web.RequestKey("course", Course)
_OPERATION: Final = web.RequestKey("operation", str)
_SEGMENT: Final = re.compile(r"\{(\w+)\}")

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]

# What has no operation: for probes and scrapers, and for who wants to know what there is.
OPEN: Final = {
    "/healthz": "health",
    "/readyz": "ready",
    "/metrics": "metrics",
    "/v1/openapi.json": "described",
}


@dataclass(frozen=True)
class Outside:
    """What this door shows.

    parts        this process's metrics, each read at every scrape
    standing     what the database knows
    house        what the operations of /v1 work with
    max_body     bytes
    """

    version: str
    readiness: Readiness
    parts: Sequence[Part]
    standing: StandingReader
    house: House
    keys: Keys
    new_request_id: Callable[[], str]
    max_body: int
    siblings: Siblings = field(default_factory=Siblings)


class Handlers:
    """The handlers."""

    def __init__(self, outside: Outside) -> None:
        self._o = outside
        self._interpreter = page.Interpreter()
        self._description: bytes | None = None
        self.loop_lag = LoopLag()
        self.served = Served()

    def application(self) -> web.Application:
        """The routes, each behind its checks, and all in this door's form of answers."""
        application = web.Application(
            middlewares=[self._around], client_max_size=self._o.max_body
        )
        for path, name in OPEN.items():
            application.router.add_get(path, getattr(self, name))  # and HEAD
        for operation in OPERATIONS:
            # A segment is whatever stands between two slashes: names may hold braces.
            handle = self._handler(operation)
            path = _SEGMENT.sub(r"{\1:[^/]+}", operation.path)
            if operation.relays:  # all that follows is the API's own
                path = path.replace("{path:[^/]+}", "{path:.*}")
            if operation.method == "GET":
                application.router.add_get(path, handle)
            else:
                application.router.add_route(operation.method, path, handle)
        return application

    # --- around every request ------------------------------------------------------------

    @web.middleware
    async def _around(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        request_id = self._o.new_request_id()
        request[_COURSE] = course = Course(request_id, request.headers)
        follow(course)
        try:
            response = await handler(request)
        except Exception as error:
            known = declined(error)
            if known is None:
                log.exception("request %s failed", request_id)
                detail = f"The service failed; its log has the reason under {request_id}."
                known = Declined("internal_error", detail)
            response = problem(known, request_id)
        self._note(request, course, response)
        if not response.prepared:
            response.headers.setdefault(_REQUEST_ID, request_id)  # an API may have its own
        return response

    def _note(self, request: web.Request, course: Course, response: web.StreamResponse) -> None:
        name = request.get(_OPERATION)
        if name is not None:
            ended = None if response.prepared else monotonic() - course.began
            self.served.note(name, response.status, ended)

    def _handler(self, operation: Operation) -> Handle:
        async def handle(request: web.Request) -> web.StreamResponse:
            request[_OPERATION] = operation.name
            key = await key_of(request, self._o.keys, operation)
            query, body, raw = None, None, None
            if not operation.relays:
                query = query_of(request, operation.query)
                body, raw = await body_of(request, operation.body)
            course = request[_COURSE]
            ask = Ask(
                house=self._o.house,
                key=key,
                path=request.match_info,
                query=query,
                body=body,
                raw=raw,
                request=request,
                request_id=course.request_id,
                course=course,
                recheck=partial(key_of, request, self._o.keys, operation),
            )
            answer = await operation.handle(ask)
            if isinstance(answer, Answer):
                return response_of(answer, operation, request)
            return answer

        return handle

    # --- what needs no key ---------------------------------------------------------------

    async def described(self, _: web.Request) -> web.StreamResponse:
        """The OpenAPI document."""
        if self._description is None:
            self._description = orjson.dumps(openapi(OPERATIONS, self._o.version))
        return web.Response(body=self._description, content_type="application/json")

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
            *self.served.samples(),
            *(sample for part in outside.parts for sample in part()),
        ]
        return [*page.families(samples, name), *self._interpreter.families(name)]


def _silent() -> dict[str, Any]:
    return {"ready": False, "state": "unknown", "reasons": ["it does not answer"], "checks": []}


@asynccontextmanager
async def open_api(
    outside: Outside, host: str, port: int, sock: socket.socket | None = None
) -> AsyncIterator[str]:
    """Listens, on a socket that was handed in or on one of its own; yields its URL.

    Open it before the gateway, so that it closes after it: a process that drains says so.
    Raises OSError if the port is taken.
    """
    api = Handlers(outside)
    runner = web.AppRunner(api.application(), shutdown_timeout=CLOSING_SECONDS)
    async with Tasks() as tasks, outside.siblings.answering(api.answers()):
        tasks.start(outside.readiness.keep(), "readiness")
        tasks.start(api.loop_lag.keep(), "loop lag")
        tasks.start(outside.house.streams.tail.keep(), "streams")
        await runner.setup()
        if runner.server is None:
            raise RuntimeError("the runner was set up and has no server")
        factory = partial(Connection, runner.server, outside.new_request_id)
        try:
            sockets = listen(host, port) if sock is None else (sock,)
            async with accepting(factory, sockets):
                address = sockets[0].getsockname()
                at = f"[{address[0]}]" if ":" in address[0] else address[0]
                yield f"http://{at}:{address[1]}"
        finally:
            outside.house.streams.tail.close()
            await runner.cleanup()

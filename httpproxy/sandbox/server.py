"""The sandbox: every provider's simulator on one port.

Which API a call is for is told by its Host header, when something maps the API's name
to this server (the gateway's `upstreams` does), or by the first segment of its path
(http://localhost:8090/api.airtable.com/v0/…), for use in people's own tests. Target
and body reach the simulator as they came. Calls are logged in a journal, faults can be
ordered, and the state is kept in a folder: /_sandbox/ is the side API (docs/sandbox.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from email.utils import formatdate
from types import TracebackType
from typing import Final, Self

import orjson
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from httpproxy.sandbox.answer import Answer, Dropped
from httpproxy.sandbox.control import PREFIX, Control, problem
from httpproxy.sandbox.faults import Kind, Plan, decide
from httpproxy.sandbox.journal import Journal
from httpproxy.sandbox.simulators import Simulators
from providers.http import Request, Response, headers

log = logging.getLogger(__name__)

_MAX_BODY: Final = 64 * 1024 * 1024
_SAVE_AFTER: Final = 0.3
_READS: Final = frozenset({"GET", "HEAD"})
_UNCHANGED: Final = Plan({})


class SandboxServer:
    """Serves `simulators` on host and port from `async with` to its end.

    Port 0 takes a free one; `origin` tells which. Raises OSError if the port is taken.
    """

    def __init__(self, simulators: Simulators, host: str, port: int) -> None:
        self._simulators = simulators
        self._host, self._port = host, port
        kits = [provider.sandbox for provider in simulators.providers.values()]
        grants = [kit.grant.tokens for kit in kits]
        self._journal = Journal(
            [
                *(kit.token for kit in kits),
                *(grant.access_token for grant in grants),
                *(grant.refresh_token or "" for grant in grants),
            ]
        )
        self._control = Control(simulators, self._journal)
        self._saving: asyncio.TimerHandle | None = None
        self._save_after = _SAVE_AFTER
        self._runner: web.ServerRunner | None = None

    @property
    def origin(self) -> str:
        """Where the server listens, "http://127.0.0.1:8090"."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not running")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def upstreams(self) -> Mapping[str, str]:
        """The setting that sends the gateway's calls here: API host -> origin."""
        return dict.fromkeys(self._simulators.by_host, self.origin)

    async def __aenter__(self) -> Self:
        server = web.Server(
            self._handle,
            request_factory=_new_request,
            access_log=None,
            auto_decompress=False,
            max_line_size=32_768,
            max_field_size=32_768,
            max_headers=256,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._saving is not None:
            self._saving.cancel()
        self._simulators.save()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        call = self._addressed(request, await request.read())
        now = time.time_ns() / 1e9
        date = formatdate(now, usegmt=True)
        if call.host in self._simulators.by_host:
            return await self._carry(call, now, date)
        if call.path == PREFIX or call.path.startswith(f"{PREFIX}/"):
            response = self._control.answer(call)
            self._changed(call)
            return Answer(response, _UNCHANGED, date)
        known = ", ".join(self._simulators.by_host)
        message = (
            "name the API in the Host header or as the first segment of the path,"
            f" as in /{next(iter(self._simulators.by_host))}/…; there are {known}"
        )
        return Answer(problem(404, "host", message), _UNCHANGED, date)

    def _addressed(self, request: web.BaseRequest, body: bytes) -> Request:
        host, target = request.headers.get("Host", ""), request.raw_path
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        fields = CIMultiDictProxy(CIMultiDict(request.headers))
        if name not in self._simulators.by_host:
            first, slash, rest = target.removeprefix("/").partition("/")
            if first in self._simulators.by_host:
                name, target = first, slash + rest or "/"
        return Request(request.method, name, target, fields, body)

    async def _carry(self, call: Request, now: float, date: str) -> web.StreamResponse:
        entry = self._journal.note(call, now)
        plan, self._control.faults = decide(self._control.faults, call)
        entry["faults"] = [kind.value for kind in plan.orders]
        await asyncio.sleep(plan.seconds(Kind.DELAY_BEFORE))
        if plan.happens(Kind.DROP, "before"):
            return Dropped()
        response = None
        if not plan.happens(Kind.STATUS, "before"):
            response = self._simulators.handle(call, time.time_ns() / 1e9)
            entry["applied"] = True
            self._changed(call)
        if Kind.STATUS in plan.orders:
            response = self._ordered(call, plan)
        await asyncio.sleep(plan.seconds(Kind.DELAY_AFTER))
        if plan.happens(Kind.DROP, "after") or response is None:
            return Dropped()
        entry["status"] = response.status
        return Answer(response, plan, date)

    def _ordered(self, call: Request, plan: Plan) -> Response:
        """The answer that an order puts in place of the API's own."""
        status, style = plan.option(Kind.STATUS, "status"), plan.option(Kind.STATUS, "body")
        assert isinstance(status, int)  # noqa: S101 - read_order saw to it
        retry_after = plan.option(Kind.STATUS, "retry_after")
        fields = [] if retry_after is None else [("Retry-After", str(retry_after))]
        if style == "html":
            page = f"<html><body><h1>{status}</h1></body></html>"
            fields.append(("Content-Type", "text/html; charset=utf-8"))
            return Response(status, headers(*fields), page.encode())
        if style == "empty":
            return Response(status, headers(*fields))
        refusal = self._simulators.by_host[call.host].refusal
        said = refusal(status, "sandbox_fault", f"{status} as ordered", "sandbox")
        fields.append(("Content-Type", "application/json"))
        return Response(status, headers(*fields), orjson.dumps(said))

    def _changed(self, call: Request) -> None:
        """Save shortly, so that many changes in a row are written once."""
        if call.method not in _READS and self._saving is None:
            loop = asyncio.get_running_loop()
            self._saving = loop.call_later(self._save_after, self._save)

    def _save(self) -> None:
        self._saving = None
        began = time.perf_counter()
        try:
            self._simulators.save()
        except OSError:
            log.exception("the sandbox's state cannot be saved")
        # A large state is saved less often, so that saving stays a few percent of the time.
        self._save_after = max(_SAVE_AFTER, 20 * (time.perf_counter() - began))


def _new_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY
    )

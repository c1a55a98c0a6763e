"""Calls to APIs over HTTP: the one ClientSession.

`send` forwards somebody's call: exactly once, byte for byte, nothing invented, nothing
followed, nothing decoded, and either the whole answer or an UpstreamError. `fetch` is
for reads of our own and repeats them, through aiohttp-retry, when the trouble can pass.

What aiohttp would do by itself, and what is done about it:

    requotes and normalises paths    the raw target is given as an encoded path
    resends GET, HEAD, PUT, DELETE   a middleware renames the lost connection's error,
      over a lost connection         so that aiohttp does not recognise it; only for the
                                     methods it would resend
    invents header fields            skipped by name; Content-Length of a DELETE without
                                     a body is taken out in the same middleware
    connects wherever a name leads   addresses are checked (`guard`)
    keeps cookies for everybody      DummyCookieJar
    follows redirects                allow_redirects=False
    decodes bodies                   auto_decompress=False
    reads proxies and passwords      trust_env=False
      from the environment
    sets two timers per call         no total; one deadline for all (`deadlines`)
"""

from __future__ import annotations

import asyncio
import io
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,  # noqa: TID251  this is its room
)
from aiohttp.http_parser import HttpResponseParser
from aiohttp_retry import RetryClient
from multidict import CIMultiDict
from yarl import URL

from httpproxy.upstream import wire
from httpproxy.upstream.deadlines import Deadline, Deadlines
from httpproxy.upstream.errors import (
    AnswerTimeout,
    AnswerTooLarge,
    Malformed,
    Unsendable,
    UpgradeAnswered,
)
from httpproxy.upstream.guard import guarded_connector
from httpproxy.upstream.renaming import FOREIGN, renamed
from httpproxy.upstream.repeat import NO_RULES, ReadRules, Repeats
from providers.http import Headers, Request, Response

MAX_LINE: Final = 64 * 1024  # of the answer's status line and of each field
MAX_HEADERS: Final = 256
_STREAMED: Final = 1 << 20  # bodies from here on are written in steps
_INVENTED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_NEVER_FRAMED: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # by aiohttp itself
_RESENT: Final = _NEVER_FRAMED | {"PUT", "DELETE"}
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_CODINGS: Final = frozenset({"chunked", "identity"})  # of transfers, that are undone


class SlowParser(Exception):
    """aiohttp runs without its C parser: another parser, with other edges, and several
    times slower. Install a wheel of aiohttp for this platform."""

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))


class UnusableAuthorities(Exception):
    """The file of certificate authorities cannot be read, or holds none."""


class UpstreamClient:
    """Speaks to APIs. Open with `async with`; one for the whole process.

    `origins` maps a host to the server that stands in for it ("http://127.0.0.1:9000");
    every other host is https on its own name. The Host field is the request's host
    either way. Times are in seconds: `connect_timeout` includes waiting for one of
    `max_connections`, `timeout` is the whole call. `ca_file` replaces the system's
    certificate authorities.
    """

    def __init__(
        self,
        *,
        origins: Mapping[str, str],
        connect_timeout: float,
        timeout: float,
        max_response_bytes: int,
        max_connections: int = 512,
        ca_file: Path | None = None,
    ) -> None:
        self._origins = {host: _origin(url) for host, url in origins.items()}
        self._time = aiohttp.ClientTimeout(
            total=None,
            connect=min(connect_timeout, timeout),
            sock_connect=min(connect_timeout, timeout),
        )
        self._limit = max_response_bytes
        self._connections = max_connections
        self._ca_file = ca_file
        self._deadlines = Deadlines(timeout)
        self._open: ClientSession | None = None
        self.stray_heads = 0  # answers whose head had bytes that are not UTF-8

    async def __aenter__(self) -> Self:
        require_c_parser()
        self._open = ClientSession(
            connector=guarded_connector(
                # Where the operator sends a host, he may send it anywhere.
                trusted=[host.strip("[]") for _, host, _ in self._origins.values()],
                limit=self._connections,
                ssl=_tls(self._ca_file),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_INVENTED,
            auto_decompress=False,
            trust_env=False,
            timeout=self._time,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadlines.close()
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def send(self, request: Request) -> Response:
        """The API's answer to this call, which is made exactly once.

        Raises UpstreamError; its `sent` says whether the API can have seen the call.
        """
        url, method = self._url(request), request.method
        fields = wire.headers_for(request)
        with self._timed() as deadline:
            answer = deadline.answer = await self._session.request(
                method,
                url,
                headers=fields,
                data=_data(request.body),
                allow_redirects=False,
                middlewares=_middlewares(method, framed="Content-Length" in fields),
            )
            return await self._whole(answer)

    async def fetch(self, request: Request, rules: ReadRules = NO_RULES) -> Response:
        """The answer to a read of our own, asked again while the trouble can pass.

        Only for GET and for a POST that reads. Raises UpstreamError after the last
        attempt; an answer that says no is returned as it came.
        """

        async def exchange(
            raw: ClientRequest, handler: ClientHandlerType
        ) -> tuple[ClientResponse, Response]:
            with self._timed() as deadline:
                answer = deadline.answer = await handler(raw)
                return answer, await self._whole(answer)

        repeats = Repeats(rules, exchange)
        await RetryClient(self._session, retry_options=repeats).request(
            request.method,
            self._url(request),
            headers=wire.headers_for(request),
            data=request.body or None,
            allow_redirects=False,
            middlewares=(repeats.attempt,),
        )
        if repeats.answer is None:
            raise RuntimeError("aiohttp-retry ended without an answer or an exception")
        return repeats.answer

    @property
    def _session(self) -> ClientSession:
        if self._open is None:
            raise RuntimeError("the client is not open")
        return self._open

    @contextmanager
    def _timed(self) -> Iterator[Deadline]:
        """One exchange under its deadline; what goes wrong in it is told in our words."""
        deadline = self._deadlines.start()
        try:
            yield deadline
        except asyncio.CancelledError as error:
            if self._deadlines.ours(deadline):
                raise AnswerTimeout(began=deadline.answer is not None) from error
            raise
        except FOREIGN as error:
            raise renamed(error, began=deadline.answer is not None) from error
        finally:
            self._deadlines.end(deadline)

    def _url(self, request: Request) -> URL:
        origin = self._origins.get(request.host)
        if origin is None:
            if not _HOST.fullmatch(request.host):
                raise Unsendable("the host is not a plain host name")
            origin = ("https", request.host, None)
        scheme, host, port = origin
        # The query is given as part of the path: as a query, a bare "?" would be lost.
        return URL.build(scheme=scheme, host=host, port=port, path=request.target, encoded=True)

    async def _whole(self, answer: ClientResponse) -> Response:
        """The whole answer, or an error and a closed connection."""
        status, headers = answer.status, answer.headers
        try:
            if not 200 <= status <= 599:
                raise UpgradeAnswered if status == 101 else Malformed  # noqa: TRY301  the handler closes
            if headers.get("Transfer-Encoding", "chunked").strip().lower() not in _CODINGS:
                raise Malformed  # noqa: TRY301  what only chunks were taken off is no answer
            length = answer.content_length
            if length is not None and length <= self._limit:
                body = await answer.read()
            else:
                body = await self._bounded(answer, length or 0)
        except BaseException:
            answer.close()
            raise
        reason = answer.reason or ""
        if wire.has_stray_bytes(headers, reason):
            return self._cleaned(status, headers, body, reason)
        return Response(status, headers, body, reason)

    async def _bounded(self, answer: ClientResponse, size: int) -> bytes:
        """A body that is too large, or that says its size only by ending."""
        content = answer.content
        if size > self._limit and not content.at_eof():  # HEAD and 304 have no body
            raise AnswerTooLarge
        parts: list[bytes] = []
        size = 0
        async for part in content.iter_any():
            size += len(part)
            if size > self._limit:
                raise AnswerTooLarge
            parts.append(part)
        return b"".join(parts)

    def _cleaned(self, status: int, headers: Headers, body: bytes, reason: str) -> Response:
        self.stray_heads += 1
        return Response(status, wire.with_readable(headers), body, wire.readable(reason))


@lru_cache(maxsize=4)  # to load the system's authorities takes 50 ms of the event loop
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an SSLError is one too
        raise UnusableAuthorities(f"{ca_file}: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def require_c_parser() -> None:
    """Raises SlowParser unless aiohttp and multidict run in C."""
    if HttpResponseParser.__module__ != "aiohttp._http_parser":
        raise SlowParser
    if CIMultiDict.__module__ != "multidict._multidict":
        raise SlowParser


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: a lost connection is an error of ours, which aiohttp does not resend."""
    try:
        return await handler(request)
    except FOREIGN as error:
        raise renamed(error, began=False) from error


async def _unframed(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: no Content-Length where there is no body and the client said none."""
    request.headers.popall("Content-Length", None)
    return await handler(request)


def _data(body: bytes) -> bytes | io.BytesIO | None:
    if not body:
        return None
    return body if len(body) < _STREAMED else io.BytesIO(body)


_ONCE: Final = (_once,)
_ONCE_UNFRAMED: Final = (_unframed, _once)


def _middlewares(method: str, *, framed: bool) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """Only what this method needs: POST and PATCH pay for no middleware at all."""
    if framed or method in _NEVER_FRAMED:
        return _ONCE if method in _RESENT else ()
    return _ONCE_UNFRAMED


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an operator's stand-in. Raises ValueError."""
    parsed = URL(url)
    plain = parsed.raw_path_qs == "/" and not (parsed.raw_user or parsed.raw_fragment)
    if parsed.scheme not in ("http", "https") or not parsed.raw_host or not plain:
        raise ValueError(f"an upstream is http(s)://host[:port] and nothing more, not {url}")
    return parsed.scheme, parsed.host_subcomponent or "", parsed.explicit_port

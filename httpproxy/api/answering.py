"""From an Answer to a response: JSON by the operation's model, Link, ETag."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from httpproxy.api.operations import Answer, Operation


def response_of(answer: Answer, operation: Operation, request: web.Request) -> web.Response:
    """What goes out. Nothing of this door may be kept by a cache."""
    headers = {"Cache-Control": "no-store", **answer.headers}
    if answer.etag is not None:
        headers["ETag"] = answer.etag
    if answer.turn:
        headers["Link"] = f'<{next_page(request, answer.turn)}>; rel="next"'
    status = answer.status or operation.status
    if operation.answer is None or answer.value is None:
        return web.Response(status=status, headers=headers)
    content = _adapter(operation.answer).dump_json(answer.value, by_alias=True)
    return web.Response(
        status=status, body=content + b"\n", content_type="application/json", headers=headers
    )


def next_page(request: web.Request, turn: Mapping[str, str]) -> str:
    """The URL of the page that follows: the same parameters, but for those that turn it.

    Relative to the origin: by which name and scheme callers know it, they know best.
    """
    return str(request.rel_url.update_query(turn))


@lru_cache(maxsize=256)
def _adapter(answer: Any) -> TypeAdapter[Any]:
    return TypeAdapter(answer)

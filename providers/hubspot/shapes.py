"""HubSpot's JSON, whatever its shape: what a message must hold, and what it may.

Documents and answers disagree about shapes, so everything is taken for possible and what
does not fit is empty. Nothing here raises anything but `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Iterator

from providers.body import read_json
from providers.http import Request, Response
from providers.record import JSON
from providers.spec import Exchange, Unreadable


def object_of(value: JSON) -> dict[str, JSON]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: JSON) -> Iterator[dict[str, JSON]]:
    """The objects of a list; nothing of anything else."""
    return (
        (item for item in value if isinstance(item, dict))
        if isinstance(value, list)
        else iter(())
    )


def id_of(value: JSON) -> str:
    """A record id, which documents spell as a string or a number; "" if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def answer(exchange: Exchange) -> dict[str, JSON]:
    """The answer's JSON object. Raises Unreadable, also for JSON that is none."""
    body = read_json(exchange.response)
    if not isinstance(body, dict):
        raise Unreadable("the answer is not a JSON object")
    return body


def asked(request: Request) -> dict[str, JSON]:
    """The request's JSON object. Raises Unreadable, also for JSON that is none."""
    body = read_json(request)
    if not isinstance(body, dict):
        raise Unreadable("the request is not a JSON object")
    return body


def partly_failed(response: Response) -> bool:
    return response.status == 207


def id_property(request: Request) -> str:
    """The `idProperty` of the query, "" if the path's id is a record id."""
    return next((v for n, v in request.query if n == "idProperty" and v), "")

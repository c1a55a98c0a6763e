"""Requests of our own, and what HubSpot's refusals of them mean."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final
from urllib.parse import quote

import orjson

from providers.body import read_json
from providers.http import Request, Response, headers
from providers.hubspot.shapes import id_of, object_of, objects_of, partly_failed
from providers.record import JSON
from providers.spec import Refused, Unreadable

HOST: Final = "api.hubapi.com"

_ACCEPT: Final = ("Accept", "application/json")
_JSON: Final = ("Content-Type", "application/json")
_REMEDIES: Final = {
    401: "Give the sync a token that is valid: a private app's access token (pat-…).",
    429: "The portal's rate limit is spent; try again later.",
}
_AGAIN: Final = "Try again; tell us if it lasts."
_CHECK: Final = "Check the names of the objects, and that the token is of the right portal."


def get(path: str) -> Request:
    return Request("GET", HOST, path, headers(_ACCEPT))


def post(path: str, body: JSON) -> Request:
    return Request("POST", HOST, path, headers(_ACCEPT, _JSON), orjson.dumps(body))


def segment(text: str) -> str:
    """Text as one path segment."""
    return quote(text, safe="")


Asking = Generator[Request, Response, dict[str, JSON]]


def ask(request: Request) -> Asking:
    """One call and its JSON answer. Raises Refused for anything but a readable 2xx."""
    response = yield request
    return told(response)


def ask_for_many(request: Request) -> Asking:
    """A batch read and its JSON answer, in which what is missing is not there.

    A 207 lists what it left out, and why. Only where it says that there is no such thing
    may that be believed of the rest: for any other reason it is Refused.
    """
    response = yield request
    body = told(response)
    errors = list(objects_of(body.get("errors")))
    if partly_failed(response) and not errors:
        raise Refused(response, "HubSpot left something out without a word", _AGAIN)
    for error in errors:
        if error.get("category") != "OBJECT_NOT_FOUND":
            raise Refused(response, id_of(error.get("message")) or "it failed in part", _AGAIN)
    return body


def told(response: Response) -> dict[str, JSON]:
    """The JSON of a 2xx answer. Raises Refused for anything else."""
    if not response.ok:
        raise refused(response)
    try:
        return object_of(read_json(response))
    except Unreadable as error:
        raise Refused(response, str(error), _AGAIN) from error


def refused(response: Response) -> Refused:
    """HubSpot's no in its own words, and what the operator can do about it."""
    body = error_body(response)
    said = body.get("message")
    return Refused(
        response,
        said if isinstance(said, str) and said else "HubSpot gave no reason",
        _remedy(response.status, body),
    )


def error_body(response: Response) -> dict[str, JSON]:
    """The JSON object of an error answer; empty if it is none (Cloudflare sends HTML)."""
    try:
        return object_of(read_json(response))
    except Unreadable:
        return {}


def _remedy(status: int, body: dict[str, JSON]) -> str:
    if status == 403 and (scopes := missing_scopes(body)):
        return f"Add the scope {' or '.join(scopes)} to the private app."
    if status == 403:
        return "Give the private app the scopes that reading these objects takes."
    other = "Try again; HubSpot's status page may know more." if status >= 500 else _CHECK
    return _REMEDIES.get(status, other)


def missing_scopes(body: dict[str, JSON]) -> tuple[str, ...]:
    """The scopes that a MISSING_SCOPES error asks for."""
    return tuple(
        scope
        for error in objects_of(body.get("errors"))
        for scope in _texts(object_of(error.get("context")).get("requiredGranularScopes"))
    )


def _texts(value: JSON) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

"""A simulated portal to talk to without a network, and what our tables make of it."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson

from providers.http import Request, Response, headers
from providers.hubspot.discovery import discover
from providers.hubspot.provider import HUBSPOT
from providers.hubspot.sandbox.kit import TOKEN, create
from providers.record import Change, Collection, Image, Schema
from providers.routing import Match, Router
from providers.spec import Conversation, Exchange

T = TypeVar("T")
HOST = "api.hubapi.com"
ROUTER = Router(HUBSPOT)
NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC
ANALYTICAL, COMPILERS = "50000000001", "50000000002"  # companies
CHARLES, GRACE, MARY = "50000000003", "50000000004", "50000000005"  # contacts
ENGINE, COMPILER = "50000000006", "50000000007"  # deals


class Portal:
    """The seeded portal. Every call comes a second after the one before."""

    def __init__(self, token: str = TOKEN, **switches: Any) -> None:
        self.sandbox = create(**switches)
        self.token = token
        self.now = NOON
        self.step = 1.0

    def send(self, request: Request) -> Response:
        self.now += self.step
        return self.sandbox.handle(HUBSPOT.authorize(request, self.token), self.now)

    def call(self, method: str, target: str, body: Any = None) -> Any:
        """The JSON of a 2xx answer (None for an empty one)."""
        status, found = self.ask(method, target, body)
        assert 200 <= status < 300, found
        return found

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of any answer."""
        response = self.send(request(method, target, body))
        return response.status, orjson.loads(response.body) if response.body else None

    def converse(self, conversation: Conversation[T]) -> T:
        """The result of a conversation with the portal."""
        try:
            asked = next(conversation)
            while True:
                asked = conversation.send(self.send(asked))
        except StopIteration as done:
            result: T = done.value
            return result

    def schema(self, *wanted: str) -> Schema:
        spellings = wanted or ("contacts", "companies", "deals")
        return Schema(self.converse(discover("48000001", spellings)))

    def write(
        self, method: str, target: str, body: Any = None, schema: Schema | None = None
    ) -> Change:
        """What our tables make of a call and its 2xx answer."""
        schema = schema or self.schema()
        asked = request(method, target, body)
        response = self.send(asked)
        assert response.ok, response.body
        return meaning(asked, response, schema)


def request(method: str, target: str, body: Any = None) -> Request:
    sent = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    return Request(method, HOST, target, headers(("Content-Type", "application/json")), sent)


def route(method: str, path: str) -> Match:
    found = ROUTER.match(method, HOST, path)
    assert found is not None, (method, path)
    return found


def meaning(asked: Request, response: Response, schema: Schema) -> Change:
    match = route(asked.method, asked.path)
    assert match.route.read is not None, match.route.name
    return match.route.read(Exchange(asked, response, match.variables), schema)


def answered(
    schema: Schema,
    call: tuple[str, str, Any],
    body: Any,
    status: int = 200,
) -> Change:
    """What our tables make of a call (method, target, body) and an answer made up here."""
    sent = body if isinstance(body, bytes) else orjson.dumps(body)
    return meaning(request(*call), Response(status, body=sent), schema)


def collection(schema: Schema, spelling: str) -> Collection:
    found = schema.find(spelling)
    assert found is not None
    return found


def only(change: Change) -> Image:
    (image,) = change.images
    return image

"""Calling Airtable's simulator without a network, and reading what its answers mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, TOKEN
from providers.http import Request, Response, headers
from providers.record import Change, Collection, Schema
from providers.routing import Router
from providers.spec import Exchange

NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z
API, CONTENT = AIRTABLE.hosts
ROUTER = Router(AIRTABLE)


@dataclass(frozen=True)
class Answer:
    """A response with its parsed body."""

    request: Request
    response: Response

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def json(self) -> Any:
        return json.loads(self.response.body)

    @property
    def error(self) -> str:
        found = self.json["error"]
        return found if isinstance(found, str) else found["type"]

    def change(self, schema: Schema) -> Change:
        """What the matched route reads out of the answer."""
        match = ROUTER.match(self.request.method, self.request.host, self.request.path)
        assert match is not None
        assert match.route.read is not None
        return match.route.read(Exchange(self.request, self.response, match.variables), schema)


class Account:
    """The seeded base; each call comes ten seconds after the one before, out of any limit."""

    def __init__(self, token: str = TOKEN, **switches: Any) -> None:
        self.sandbox = AIRTABLE.sandbox.create(**switches)
        self.token, self.now, self.step = token, NOON, 10.0

    def request(self, method: str, path: str, body: Any = None, host: str = API) -> Answer:
        """Sends `body` as JSON to a path below the base ("/Tasks") or to "//v0…" as it is."""
        target = path[1:] if path.startswith("//") else f"/v0/{BASE}{path}"
        content = (
            body
            if isinstance(body, bytes)
            else b""
            if body is None
            else json.dumps(body).encode()
        )
        return self.send(Request(method, host, target, headers(), content))

    def send(self, request: Request) -> Answer:
        self.now += self.step
        request = AIRTABLE.authorize(request, self.token)
        return Answer(request, self.sandbox.handle(request, self.now))

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: Any = None) -> Answer:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any = None) -> Answer:
        return self.request("PATCH", path, body)

    def put(self, path: str, body: Any = None) -> Answer:
        return self.request("PUT", path, body)

    def delete(self, path: str, body: Any = None) -> Answer:
        return self.request("DELETE", path, body)

    def create(self, **fields: Any) -> dict[str, Any]:
        """A new task."""
        return self.post("/Tasks", {"fields": fields}).json

    def cells(self, record_id: str, table: str = "Tasks") -> dict[str, Any]:
        return self.get(f"/{table}/{record_id}").json["fields"]

    def converse(self, conversation: Any) -> Any:
        """The result of one of the provider's conversations with the simulator."""
        try:
            request = next(conversation)
            while True:
                request = conversation.send(self.send(request).response)
        except StopIteration as done:
            return done.value

    def discover(self, *wanted: str) -> Schema:
        return Schema(self.converse(AIRTABLE.discover(BASE, wanted or None)))


def collection(schema: Schema, name: str) -> Collection:
    found = schema.find(name)
    assert found is not None
    return found


def by_name(schema: Schema, image: Any) -> dict[str, Any]:
    """An image's values by field name."""
    fields = {f.id: f.name for c in schema.collections for f in c.fields}
    return {fields[i]: value for i, value in image.values.items()}

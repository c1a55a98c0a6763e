"""Driving a provider's sandbox without a network: conversations and single calls.

Time is ours: each call comes ten seconds after the one before, so no rate limit of the
sandbox is in the way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from providers.http import Request, Response
from providers.record import Change, Collection, Schema
from providers.routing import Router
from providers.sandbox import Sandbox
from providers.spec import Conversation, Exchange, Provider

T = TypeVar("T")
MIDDAY = 1_795_262_400.0  # 2026-11-21 12:00 UTC


@dataclass
class Account:
    """The seeded account of a fresh sandbox, and whoever holds `token`."""

    provider: Provider
    token: str = ""
    switches: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kit = self.provider.sandbox
        self.token = self.token or kit.token
        self.sandbox: Sandbox = kit.create(**self.switches)
        self.router = Router(self.provider)
        self._moments = (MIDDAY + 10.0 * turn for turn in count())

    @property
    def name(self) -> str:
        return self.provider.sandbox.account

    def call(self, request: Request) -> Response:
        """One authorized call."""
        return self.call_bare(self.provider.authorize(request, self.token))

    def call_bare(self, request: Request) -> Response:
        """One call exactly as given."""
        return self.sandbox.handle(request, next(self._moments))

    def converse(self, conversation: Conversation[T]) -> T:
        """The result of a conversation with the sandbox."""
        try:
            request = next(conversation)
            while True:
                request = conversation.send(self.call(request))
        except StopIteration as done:
            result: T = done.value
            return result

    def discover(self) -> tuple[Collection, ...]:
        """The collections that the kit names."""
        wanted = self.provider.sandbox.collections
        return self.converse(self.provider.discover(self.name, wanted))

    def write(self, request: Request) -> tuple[Response, Change]:
        """A call, and what its route reads out of the answer."""
        response = self.call(request)
        match = self.router.match(request.method, request.host, request.path)
        assert match is not None
        assert match.route.read is not None
        exchange = Exchange(request, response, match.variables)
        return response, match.route.read(exchange, Schema(self.discover()))

    def saved(self) -> Account:
        """Another sandbox that has loaded this one's state, by way of JSON text."""
        other = Account(self.provider, self.token, self.switches)
        other.sandbox.load(json.loads(json.dumps(self.sandbox.dump())))
        return other


def sample(path: str) -> str:
    """A path template with every variable filled in."""
    parts = []
    for part in path.split("/"):
        if part.endswith("...}"):
            parts += ["one", "two"]
        else:
            parts.append("sample1" if part.startswith("{") else part)
    return "/".join(parts)

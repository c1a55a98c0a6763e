"""What a provider's sandbox is: a stateful simulator of its API, and what a fresh one holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from providers.credentials import AppKeys, Grant
from providers.http import Request, Response
from providers.record import JSON


class Sandbox(Protocol):
    """A stateful simulator of one API: no I/O, no clock, no randomness of its own."""

    def handle(self, request: Request, now: float) -> Response:
        """Answer as the API would at `now` (seconds since the epoch)."""
        ...

    def dump(self) -> JSON:
        """The whole state, for `load` of the same class."""
        ...

    def load(self, state: JSON) -> None: ...


@dataclass(frozen=True, slots=True)
class Example:
    """One write that works on a fresh sandbox, for the demo and the docs.

    `request` has no Authorization. `select` is the SQL that shows the row, with
    `{schema}` for the sync's schema and `{record_id}` for the new record's id.
    """

    request: Request
    select: str


@dataclass(frozen=True, slots=True)
class SampleGrant:
    """What a fresh sandbox gave an OAuth app: its tokens, for a credential of this kind."""

    kind: str
    app: AppKeys
    tokens: Grant


@dataclass(frozen=True, slots=True)
class SandboxKit:
    """How to make the provider's sandbox, and what a fresh one holds.

    `create(**switches)`: every switch has a default; what the reference tags as
    unverified is one of them. `account`, `token` and `collections` (spellings) are
    those of the seeded account, ready for a sync, and so is `grant`. `switches` names
    every switch with its default, for those who turn them by name.
    """

    create: Callable[..., Sandbox]
    account: str
    token: str
    collections: tuple[str, ...]
    example: Example
    grant: SampleGrant
    switches: Mapping[str, JSON] = field(default_factory=dict)

"""What the simulator's handlers are given and answer, and how a path finds its handler.

The table of paths is the simulator's own and knows nothing of `routes`, so that a test
of one against the other says something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import orjson

from providers.http import Request, decoded, segments
from providers.hubspot.sandbox.errors import invalid, missing_scopes, not_found
from providers.hubspot.sandbox.index import Index, Indexes
from providers.hubspot.sandbox.state import ObjectKind, Portal, Record, Token, World
from providers.hubspot.sandbox.switches import Switches
from providers.record import JSON

Answer = tuple[int, JSON]
EMPTY: Answer = (204, None)


@dataclass(frozen=True)
class Call:
    """One authorised request: who asks, when, and for what."""

    world: World
    portal: Portal
    token: Token
    switches: Switches
    now: float
    request: Request
    variables: Mapping[str, str] = field(default_factory=dict)
    indexes: Indexes = field(default_factory=Indexes)

    @cached_property
    def body(self) -> dict[str, JSON]:
        """The request's JSON object. Raises ApiError."""
        found = self.any_body
        if not isinstance(found, dict):
            raise invalid("Invalid input JSON: an object was expected")
        return found

    @cached_property
    def any_body(self) -> JSON:
        try:
            found: JSON = orjson.loads(self.request.body)
        except orjson.JSONDecodeError as error:
            raise invalid(f"Invalid input JSON on line 1, column 1: {error.msg}") from error
        return found

    @property
    def dated(self) -> bool:
        """Whether the path is one of a dated version."""
        return "version" in self.variables and self.variables["version"] not in ("v3", "v4")

    def option(self, name: str) -> str:
        """The first query value of this name, "" if there is none."""
        return next((v for n, v in self.request.query if n == name), "")

    def options(self, name: str) -> list[str]:
        """Every query value of this name; repeated and comma-separated alike."""
        return [
            part for n, v in self.request.query if n == name for part in v.split(",") if part
        ]

    def flag(self, name: str) -> bool:
        return self.option(name).lower() == "true"

    def kind(self, access: str, variable: str = "type") -> ObjectKind:
        """The object type that a variable names. Raises ApiError: unknown, no scope."""
        found = self.portal.find(self.variables[variable])
        if found is None:
            raise invalid(f"Unable to infer object type from: {self.variables[variable]}")
        self.need(scope_of(found, access))
        return found

    def index(self, kind: ObjectKind) -> Index:
        return self.indexes.of(self.portal, kind)

    def keep(self, kind: ObjectKind, record: Record) -> None:
        """A record was written or archived: search finds that when its index has."""
        self.index(kind).keep(record, self.now, self.switches.search_lag)

    def need(self, *scopes: str) -> None:
        """Raises ApiError unless the token has one of these scopes."""
        granted = self.token.scopes
        if "*" not in granted and not any(scope in granted for scope in scopes):
            raise missing_scopes(scopes)


def scope_of(kind: ObjectKind, access: str) -> str:
    """The scope for `access` ("read", "write", "schema read", "schema write") to a type."""
    name = "custom" if kind.schema is not None else kind.plural
    schema, _, verb = access.rpartition(" ")
    return f"crm.schemas.{name}.{verb}" if schema else f"crm.objects.{name}.{verb}"


Handler = Callable[[Call], Answer]
Path = tuple[str, str, Handler]


def below(prefixes: Iterable[str], paths: Iterable[Path]) -> list[Path]:
    """The same paths under every prefix."""
    lines = list(paths)
    return [(method, f"{prefix}{path}", h) for prefix in prefixes for method, path, h in lines]


class Paths:
    """Finds handlers; of two that fit, the one with more literal segments first."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_size: dict[tuple[str, int], list[tuple[tuple[str, ...], Handler]]] = {}
        for method, path, handler in paths:
            parts = segments(path)
            self._by_size.setdefault((method, len(parts)), []).append((parts, handler))
        for listed in self._by_size.values():
            listed.sort(key=lambda each: [part.startswith("{") for part in each[0]])

    def find(self, request: Request) -> tuple[Handler, dict[str, str]]:
        """The handler and the path's variables. Raises ApiError (404)."""
        given = segments(request.path)
        for parts, handler in self._by_size.get((request.method, len(given)), ()):
            variables: dict[str, str] = {}
            for part, value in zip(parts, given, strict=True):
                if part.startswith("{"):
                    variables[part[1:-1]] = decoded(value)
                elif part != value:
                    break
            else:
                return handler, variables
        raise not_found()

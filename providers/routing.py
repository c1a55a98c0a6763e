"""The engine that walks a provider's route table.

A table is compiled once into a tree of segments; a lookup costs one dictionary
access per segment and does not decode anything before the route is known
("%2F" in a table name stays inside its segment).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from providers.http import decoded, segments
from providers.spec import Action, Provider, Route


class Match(NamedTuple):
    """The route of a call, and the decoded values of its path variables."""

    route: Route
    variables: Mapping[str, str]


_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")
_OPTIONS: Final = Route("options", "OPTIONS", "/", Action.READ)
_NO_VARIABLES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    methods: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)
    rest: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


class Router:
    """Finds the route of (method, host, raw path) for one provider."""

    def __init__(self, provider: Provider) -> None:
        self._trees: dict[str, _Node] = {host: _Node() for host in provider.hosts}
        for route in provider.routes:
            self._add(self._trees[route.host or provider.hosts[0]], route)

    @staticmethod
    def _add(node: _Node, route: Route) -> None:
        names: list[str] = []
        table = None
        for part in segments(route.path):
            if part.startswith("{") and part.endswith("...}"):
                names.append(part[1:-4])
                table = node.rest
            elif part.startswith("{"):
                names.append(part[1:-1])
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.literals.setdefault(part, _Node())
        table = node.methods if table is None else table
        if route.method in table:
            raise ValueError(f"two routes for {route.method} {route.path}")
        table[route.method] = (route, tuple(names))

    def match(self, method: str, host: str, path: str) -> Match | None:
        """The route, or None if the table does not list this call.

        HEAD is the GET of the same path; OPTIONS asks about a path and changes nothing.
        """
        tree = self._trees.get(host)
        if tree is None:
            return None
        parts = segments(path)
        if method == "OPTIONS":
            found = next((m for m in _METHODS if _walk(tree, parts, 0, (), m)), None)
            return None if found is None else Match(_OPTIONS, _NO_VARIABLES)
        if method == "HEAD":
            method = "GET"
        return _straight(tree, parts, method) or _walk(tree, parts, 0, (), method)


def _straight(node: _Node, parts: tuple[str, ...], method: str) -> Match | None:
    """The way that `_walk` tries first, without turning back: nearly always the one."""
    taken: list[str] = []
    for part in parts:
        following = node.literals.get(part)
        if following is None:
            following = node.variable
            if following is None:
                return None
            taken.append(part)
        node = following
    return _bound(node.methods, method, taken)


def _walk(
    node: _Node, parts: tuple[str, ...], at: int, taken: tuple[str, ...], method: str
) -> Match | None:
    if at == len(parts):
        return _bound(node.methods, method, taken)
    literal = node.literals.get(parts[at])
    if literal is not None:
        found = _walk(literal, parts, at + 1, taken, method)
        if found is not None:
            return found
    if node.variable is not None:
        found = _walk(node.variable, parts, at + 1, (*taken, parts[at]), method)
        if found is not None:
            return found
    return _bound(node.rest, method, (*taken, "/".join(parts[at:])))


def _bound(
    table: Mapping[str, tuple[Route, tuple[str, ...]]], method: str, taken: Sequence[str]
) -> Match | None:
    found = table.get(method)
    if found is None:
        return None
    route, names = found
    return Match(route, dict(zip(names, map(decoded, taken), strict=True)))

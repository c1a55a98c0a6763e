"""The side API under /_sandbox/: orders, switches, state, and what was asked.

A table of method and path; each answers JSON. What it cannot read is a 400 that names
the member that is wrong and what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

import orjson

from httpproxy.sandbox.faults import BadOrder, Fault, read_order
from httpproxy.sandbox.journal import Journal
from httpproxy.sandbox.simulators import BadState, BadSwitch, Simulators
from providers.http import Request, Response, headers
from providers.record import JSON

PREFIX: Final = "/_sandbox"
_JSON: Final = headers(("Content-Type", "application/json"))


class Control:
    """Answers the side API; `faults` are the open orders, which the server spends."""

    def __init__(self, simulators: Simulators, journal: Journal) -> None:
        self.faults: tuple[Fault, ...] = ()
        self._simulators = simulators
        self._journal = journal
        self._numbers = count(1)
        self._table: Mapping[str, Mapping[str, Callable[[Request], JSON]]] = {
            "": {"GET": self._overview},
            "/faults": {"GET": self._faults, "POST": self._order, "DELETE": self._cancel},
            "/requests": {"GET": self._requests, "DELETE": self._forget},
            "/reset": {"POST": self._reset},
            "/state": {"GET": lambda _: self._simulators.dump(), "PUT": self._load},
            "/switches": {"GET": lambda _: self._simulators.switches(), "POST": self._switch},
        }

    def answer(self, request: Request) -> Response:
        """The answer to a call whose path begins with `PREFIX`."""
        methods = self._table.get(request.path.removeprefix(PREFIX).rstrip("/"))
        if methods is None:
            paths = ", ".join(PREFIX + path for path in self._table)
            return problem(404, "path", f"there is no {request.path}; there are {paths}")
        act = methods.get(request.method)
        if act is None:
            return problem(405, "method", f"{request.path} takes {', '.join(methods)}")
        try:
            return Response(200, _JSON, orjson.dumps(act(request)), "OK")
        except BadOrder as error:
            return problem(400, error.field, str(error))
        except (BadSwitch, BadState) as error:
            return problem(400, str(error).partition(":")[0], str(error))

    def _overview(self, _request: Request) -> JSON:
        return {
            provider.name: {
                "hosts": [*provider.hosts, *provider.token_hosts],
                "account": provider.sandbox.account,
                "token": provider.sandbox.token,
                "collections": list(provider.sandbox.collections),
            }
            for provider in self._simulators.providers.values()
        }

    def _faults(self, _request: Request) -> JSON:
        return {"faults": [fault.shown() for fault in self.faults]}

    def _order(self, request: Request) -> JSON:
        fault = read_order(_body(request), next(self._numbers))
        if fault.host is not None and fault.host not in self._simulators.by_host:
            known = ", ".join(self._simulators.by_host)
            raise BadOrder("host", f"must be one of {known}")
        self.faults = (*self.faults, fault)
        return fault.shown()

    def _cancel(self, request: Request) -> JSON:
        """DELETE /_sandbox/faults, or only one of them with ?id=."""
        wanted = dict(request.query).get("id")
        before = len(self.faults)
        self.faults = tuple(f for f in self.faults if wanted not in (None, str(f.id)))
        if wanted is not None and len(self.faults) == before:
            raise BadOrder("id", f"there is no open order {wanted}")
        return {"removed": before - len(self.faults)}

    def _requests(self, request: Request) -> JSON:
        wanted = dict(request.query)
        for name in wanted:
            if name not in ("method", "host", "path"):
                raise BadOrder(name, "requests can be filtered by method, host and path")
        try:
            return {"requests": self._journal.entries(wanted)}
        except re.error as error:
            raise BadOrder("path", f"must be a regular expression: {error}") from error

    def _forget(self, _request: Request) -> JSON:
        self._journal.clear()
        return {}

    def _reset(self, _request: Request) -> JSON:
        self._simulators.reset()
        self._journal.clear()
        self.faults = ()
        return {}

    def _load(self, request: Request) -> JSON:
        self._simulators.load(_object(request))
        return {}

    def _switch(self, request: Request) -> JSON:
        self._simulators.switch(_object(request))
        return self._simulators.switches()


def problem(status: int, field: str, message: str) -> Response:
    """A refusal of the sandbox itself, not of an API that it plays."""
    error: JSON = {"source": "sandbox", "field": field, "message": message}
    return Response(status, _JSON, orjson.dumps({"error": error}))


def _body(request: Request) -> JSON:
    try:
        value: JSON = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise BadOrder("body", f"must be JSON: {error}") from error
    return value


def _object(request: Request) -> dict[str, JSON]:
    value = _body(request)
    if not isinstance(value, dict):
        raise BadOrder("body", "must be a JSON object with a member for each provider")
    return value

"""One call, or one job of the sync, as it is watched: where it is and since when.

A course is made when a call comes in and handed on with it; whoever begins a phase says
so. It is also what the log lines of the call are told by: a context variable leads to it,
and what they say is put together only when there is a line.

    admit     address, account, body, and whatever is not one of the others
    permit    the wait for a turn under the rate limit
    intent    the intent becomes durable
    send      the API's answer
    commit    the answer becomes rows
    settle    records are read back
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from time import monotonic
from typing import Final, NamedTuple

from httpproxy.telemetry.tally import PHASES
from providers.spec import Route

ADMIT, PERMIT, INTENT, SEND, COMMIT, SETTLE = range(len(PHASES))

_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_PARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class Parent(NamedTuple):
    """The span that a client says its call belongs to (W3C Trace Context)."""

    trace_id: str
    span_id: str
    sampled: bool


class Course:
    """What is known of one call. It began in ADMIT; `steps` are the phases since, and
    when they began. Moments are `monotonic`'s.

    `enter` says in which phase the call is from now on; the one before ends by that.
    """

    __slots__ = (
        "_headers",
        "began",
        "job",
        "provider",
        "request_id",
        "route",
        "steps",
        "sync_id",
    )

    def __init__(self, request_id: str, headers: Mapping[str, str] | None = None) -> None:
        self.request_id = request_id
        self._headers = headers
        self.sync_id = self.provider = self.job = ""
        self.route: Route | None = None
        self.steps: list[tuple[int, float]] = []
        self.began = monotonic()

    def __repr__(self) -> str:
        what = self.route.name if self.route else self.job or "?"
        return f"Course({self.request_id} {what} in {self.phase})"

    @property
    def phase(self) -> str:
        """The phase that it is in."""
        return PHASES[self.steps[-1][0] if self.steps else ADMIT]

    def enter(self, phase: int) -> None:
        self.steps.append((phase, monotonic()))

    def belongs(self, sync_id: str, provider: str) -> None:
        """Whose call it is."""
        self.sync_id, self.provider = sync_id, provider

    def routed(self, route: Route) -> None:
        """What it does."""
        self.route = route

    def client_id(self) -> str | None:
        """The client's own `X-Request-Id`, if it is one."""
        said = self._said("X-Request-Id")
        return said if said is not None and _CLIENT_ID.fullmatch(said) else None

    def parent(self) -> Parent | None:
        """The client's span by `traceparent`, None if it names none that is valid."""
        said = self._said("traceparent")
        found = _PARENT.fullmatch(said) if said is not None else None
        if found is None or found["version"] == "ff":
            return None
        if found["version"] == "00" and found["more"]:  # a later version may say more
            return None
        if found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
            return None
        return Parent(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))

    def _said(self, name: str) -> str | None:
        return None if self._headers is None else self._headers.get(name)

    def members(self) -> dict[str, str]:
        """What a log line of this call says beside its message."""
        parent = self.parent()
        said = {
            "request_id": self.request_id,
            "sync_id": self.sync_id,
            "provider": self.provider,
            "job": self.job,
            "client_request_id": self.client_id(),
            "trace_id": parent.trace_id if parent else None,
        }
        return {name: value for name, value in said.items() if value}


_CURRENT: Final[ContextVar[Course | None]] = ContextVar("course", default=None)


def follow(course: Course | None) -> None:
    """From now on, log lines of this task and of those that it starts are this call's."""
    _CURRENT.set(course)


def log_members() -> dict[str, str]:
    """What the call or job that is under way here adds to a log line."""
    course = _CURRENT.get()
    return {} if course is None else course.members()

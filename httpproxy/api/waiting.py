"""`GET /v1/wait`: until a replica has what a receipt's token stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from httpproxy.api.problems import Declined
from httpproxy.store.replicas import Replica, Replicas, position

SECONDS: Final = 10.0
LONGEST: Final = 30.0
_KNOWN: Final = frozenset({"token", "replica", "consumer", "timeout"})


@dataclass(frozen=True, slots=True)
class Wait:
    """What is asked: which replica, how far, and how long to wait."""

    replica: Replica
    token: str
    wanted: int
    seconds: float


def read_wait(query: Mapping[str, str], replicas: Replicas) -> Wait:
    """What a query asks for. Raises Declined, which names the parameter."""
    for name in query:
        if name not in _KNOWN:
            raise Declined(
                "bad_parameter",
                f"There is no parameter {name[:40]!r}; there are token, replica, timeout.",
                name[:40],
            )
    token = query.get("token", "")
    try:
        wanted = position(token)
    except ValueError as error:
        raise Declined(
            "bad_parameter",
            f"token must be what the receipt Httpproxy-Commit says: {error}.",
            "token",
        ) from error
    return Wait(_replica(query, replicas), token, wanted, _seconds(query.get("timeout")))


def _replica(query: Mapping[str, str], replicas: Replicas) -> Replica:
    if "consumer" in query:
        raise Declined(
            "unknown_consumer",
            "This version has no consumers; wait for a replica by `replica`.",
            "consumer",
        )
    name = query.get("replica")
    if not name:
        raise Declined(
            "bad_parameter", "replica is missing: name one of the setting.", "replica"
        )
    found = replicas.get(name)
    if found is None:
        names = sorted(replicas.names())
        there = ", ".join(names) or "none; the setting `replicas` names them"
        detail = f"There is no replica of this name; there are: {there}."
        raise Declined("unknown_replica", detail, "replica", replicas=names)
    return found


def _seconds(said: str | None) -> float:
    if said is None:
        return SECONDS
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise Declined(
            "bad_parameter",
            f"timeout must be a number of seconds, more than 0 and at most {LONGEST:g}.",
            "timeout",
        )
    return seconds


async def waited(wait: Wait) -> dict[str, Any]:
    """Waits; the answer's members."""
    reached = await wait.replica.reaches(wait.wanted, wait.seconds)
    said: dict[str, Any] = {
        "reached": reached.reached,
        "replica": wait.replica.name,
        "token": wait.token,
        "at": reached.at,
    }
    return said if reached.why is None else {**said, "why": reached.why}

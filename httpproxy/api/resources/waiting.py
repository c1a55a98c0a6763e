"""`GET /v1/wait`: until a replica has what a receipt's token stands for."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from httpproxy.api.operations import Answer, Ask, Operation
from httpproxy.management.models import Model
from httpproxy.management.problems import Declined
from httpproxy.store.replicas import Replica, Replicas, position

SECONDS: Final = 10.0
LONGEST: Final = 30.0


class WaitFor(Model):
    """What is waited for."""

    token: str = Field(description="Of the receipt, `Httpproxy-Commit: …; token=`.")
    replica: str | None = Field(None, description="One of the setting `replicas`.")
    consumer: str | None = None
    timeout: float = Field(
        SECONDS, gt=0, le=LONGEST, allow_inf_nan=False, description="Seconds."
    )


class Waited(Model):
    """Whether the replica has it; `at` is how far it was seen to be."""

    reached: bool
    replica: str
    token: str
    at: str | None
    why: str | None = None


async def wait(ask: Ask) -> Answer:
    """Blocks until the replica has it, or the time is over: 200 either way."""
    asked: WaitFor = ask.query
    try:
        wanted = position(asked.token)
    except ValueError as error:
        detail = f"token must be what the receipt Httpproxy-Commit says: {error}."
        raise Declined("bad_parameter", detail, "token") from error
    replica = _replica(asked, ask.house.replicas)
    reached = await replica.reaches(wanted, asked.timeout)
    return Answer(
        Waited(
            reached=reached.reached,
            replica=replica.name,
            token=asked.token,
            at=reached.at,
            why=reached.why,
        )
    )


def _replica(asked: WaitFor, replicas: Replicas) -> Replica:
    if asked.consumer is not None:
        raise Declined(
            "unknown_consumer",
            "This version has no consumers; wait for a replica by `replica`.",
            "consumer",
        )
    if not asked.replica:
        raise Declined(
            "bad_parameter", "replica is missing: name one of the setting.", "replica"
        )
    return replica_of(replicas, asked.replica, "replica")


def replica_of(replicas: Replicas, name: str, member: str) -> Replica:
    """The replica of this name. Raises Declined, which names those that there are."""
    found = replicas.get(name)
    if found is None:
        names = sorted(replicas.names())
        there = ", ".join(names) or "none; the setting `replicas` names them"
        detail = f"There is no replica of this name; there are: {there}."
        raise Declined("unknown_replica", detail, member, replicas=names)
    return found


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/wait",
        "read",
        wait,
        "Wait until a replica has a commit",
        tag="reads after writes",
        query=WaitFor,
        answer=Waited,
        reach="sync",
        problems=("unknown_replica", "unknown_consumer"),
    ),
)

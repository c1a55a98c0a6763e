"""Who is to have a mutation's result before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from httpproxy.management.problems import Declined
from httpproxy.mutations.documents import RecordResult
from httpproxy.store.database import Database
from httpproxy.store.errors import StoreError
from httpproxy.store.replicas import Replica, Replicas, committed

REPLICA: Final = "replica:"


def named(replicas: Replicas, ids: Sequence[str]) -> tuple[Replica, ...]:
    """Those who are to be awaited. Raises Declined for one that nobody knows."""
    found = []
    for at, id_ in enumerate(dict.fromkeys(ids)):
        replica = replicas.get(id_.removeprefix(REPLICA))
        if not id_.startswith(REPLICA) or replica is None:
            there = ", ".join(f"{REPLICA}{name}" for name in sorted(replicas.names()))
            raise Declined(
                "unknown_consumer",
                f"Nobody of this name can be awaited; there are: {there or 'none'}."
                " The setting `replicas` names them.",
                f"await_consumer_ids[{at}]",
            )
        found.append(replica)
    return tuple(found)


async def have_it(
    waits: Sequence[Replica],
    database: Database,
    results: Sequence[RecordResult],
    seconds: float,
) -> bool | None:
    """Whether all who were to be awaited have what was committed; None for nobody."""
    if not waits:
        return None
    if any(result.committed == "deferred" for result in results):
        return False  # there is nothing yet that they could have
    try:
        reached = await committed(database)
    except (StoreError, ValueError):
        return False
    found = await asyncio.gather(*(replica.reaches(reached, seconds) for replica in waits))
    return all(each.reached for each in found)

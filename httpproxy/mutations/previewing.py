"""What a mutation would do, told without asking the API: a dry run of each of its calls."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from httpproxy.exchange.forwarding.dryrun import MOST_CHANGES, MOST_FAULTS
from httpproxy.mutations.documents import Preview
from providers.mutating import Batch
from providers.record import JSON

_NUMBERED: Final = re.compile(r"Record (\d+): ", re.ASCII)

Show = Callable[[Batch], Awaitable[dict[str, JSON]]]


async def preview(batches: Sequence[Batch], show: Show) -> Preview:
    """The dry runs of the batches as one; of many records, the first are shown."""
    told: list[dict[str, Any]] = []
    changes: list[JSON] = []
    faults: list[str] = []
    shown = 0
    for batch in batches:
        if len(changes) >= MOST_CHANGES:
            break
        one: dict[str, Any] = await show(batch)
        told.append(one)
        changes += one["changes"]
        faults += [_placed(fault, batch) for fault in one["faults"]]
        shown += len(batch.records) - one["more_changes"]
    first = told[0] if told else {}
    permits = first.get("permits")
    return Preview(
        requests=[one["request"] for one in told],
        changes=changes[:MOST_CHANGES],
        more_records=max(0, sum(len(batch.records) for batch in batches) - shown),
        faults=faults[:MOST_FAULTS],
        permits={**permits, "cost": len(batches)} if isinstance(permits, dict) else None,
        schema_as_of=first.get("schema_as_of"),
    )


def _placed(fault: str, batch: Batch) -> str:
    """A fault with the record's place in the mutation; a dry run counts those of its call."""
    found = _NUMBERED.match(fault)
    number = int(found[1]) if found else 1
    place = batch.records[min(number, len(batch.records)) - 1].place
    return f"data[{place}]: {fault[found.end() :] if found else fault}"

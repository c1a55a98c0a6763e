"""`POST /v1/mutations/run`: records created, updated, upserted and deleted at an API."""

from __future__ import annotations

from typing import Final, cast

from httpproxy.api.operations import Answer, Ask, Operation
from httpproxy.management.problems import Declined
from httpproxy.mutations.documents import Kind, Mutated, Mutation, RecordsToChange
from httpproxy.mutations.run import Caller
from httpproxy.mutations.telling import counted

_KINDS: Final[tuple[Kind, ...]] = ("create", "update", "upsert", "delete")
_PROBLEMS: Final = (
    "unknown_sync",
    "unknown_collection",
    "unknown_consumer",
    "idempotency_in_flight",
    "idempotency_uncertain",
    "idempotency_key_reused",
    "mutation_failed",
    "api_unreachable",
    "secret_unreadable",
)
_DESCRIPTION: Final = (
    "Records of any number, in batches of the API's own size, in their order. The answer tells"
    " of each record. With the header Idempotency-Key it can be repeated safely: what was done"
    " is not done again."
)


async def run(ask: Ask) -> Answer:
    """The kind is in the body."""
    return await _run(ask, ask.body, ask.body.kind)


async def run_kind(ask: Ask) -> Answer:
    """The kind is the path's last segment."""
    return await _run(ask, ask.body, cast("Kind", ask.request.path.rpartition("/")[2]))


async def _run(ask: Ask, asked: RecordsToChange, kind: Kind) -> Answer:
    sync = await ask.sync(asked.sync_id, "sync_id")
    caller = Caller(ask.request_id, ask.request.headers)
    return answer_of(await ask.house.mutations.run(sync, asked, kind, caller))


def answer_of(mutated: Mutated) -> Answer:
    """200 if all was applied, 207 if only some; raises Declined (422) if nothing was, and
    the API refused it."""
    counts = counted(mutated.results)
    if counts.keys() <= {"applied"}:
        return Answer(mutated)
    if "failed" not in counts or counts.keys() & {"applied", "unknown"}:
        return Answer(mutated, status=207)
    first = next(each.error for each in mutated.results if each.error is not None)
    raise Declined(
        "mutation_failed",
        f"None of the {len(mutated.results)} records was written; `results` has the reasons."
        f" The first: {first.message}",
        **mutated.model_dump(mode="json", exclude={"preview", "dry_run"}),
    )


OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/mutations/run",
        "write",
        run,
        "Change records",
        tag="mutations",
        description=_DESCRIPTION,
        body=Mutation,
        answer=Mutated,
        others={207: "Not all of it was applied; `results` tell of each record."},
        reach="sync",
        problems=_PROBLEMS,
    ),
    *(
        Operation(
            "POST",
            f"/v1/mutations/run/{kind}",
            "write",
            run_kind,
            f"{kind.capitalize()} records",
            tag="mutations",
            description=_DESCRIPTION,
            body=RecordsToChange,
            answer=Mutated,
            others={207: "Not all of it was applied; `results` tell of each record."},
            reach="sync",
            problems=_PROBLEMS,
        )
        for kind in _KINDS
    ),
)

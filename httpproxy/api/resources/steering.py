"""`/v1/syncs/{id}/pause` and what else users say of what a sync does; its schema."""

from __future__ import annotations

from typing import Final

from httpproxy.api.operations import Answer, Ask, Operation
from httpproxy.api.problems import unknown_collection
from httpproxy.management import schema
from httpproxy.management.schema import (
    SchemaApplied,
    SchemaDocument,
    SchemaWish,
    applied_document,
    schema_document,
)
from httpproxy.management.syncs.documents import SyncDocument
from httpproxy.management.syncs.steering import (
    Compared,
    Resume,
    Resync,
    Resynced,
    Verify,
    chosen,
    compared,
    resynced,
)
from httpproxy.store.registry import Sync
from providers.spec import UnknownCollection

_TAG: Final = "syncs"
_ONE: Final = "/v1/syncs/{sync_id}"
_ASKED: Final = ("credential_refused", "api_refused", "api_unreachable", "secret_unreadable")


async def _sync(ask: Ask) -> Sync:
    return await ask.sync(ask.path["sync_id"])


async def _told(ask: Ask, sync: Sync) -> Answer:
    found, tag = await ask.house.services.syncs.get(sync.id)
    return Answer(found, etag=tag)


async def pause(ask: Ask) -> Answer:
    """To say it twice changes nothing."""
    sync = await _sync(ask)
    await ask.house.services.steering.pause(sync)
    return await _told(ask, sync)


async def resume(ask: Ask) -> Answer:
    """To say it twice changes nothing."""
    wish: Resume = ask.body
    sync = await _sync(ask)
    await ask.house.services.steering.resume(sync, wish.delete_missing)
    return await _told(ask, sync)


async def resync(ask: Ask) -> Answer:
    """Asked for; it is done while `httpproxy serve` runs."""
    wish: Resync = ask.body
    sync = await _sync(ask)
    named = await ask.house.services.steering.resync(sync, wish.collection_ids)
    return Answer(resynced(sync, named), status=202)


async def verify(ask: Ask) -> Answer:
    """Answers when everything is compared."""
    wish: Verify = ask.body
    sync, steering = await _sync(ask), ask.house.services.steering
    there = await steering.health(sync)
    wanted = chosen(there, wish.collection_ids or (), sync, "collection_ids")
    async with steering.verifying(sync, share=1) as verifying:
        looked = [one for each in wanted for one in await verifying.look(each, wish)]
    return Answer([compared(sync, each) for each in looked])


async def differences(ask: Ask) -> Answer:
    """Asks the API, changes nothing."""
    comparison = await ask.house.services.schemas.compare(await _sync(ask))
    return Answer(schema_document(comparison))


async def apply(ask: Ask) -> Answer:
    """What follows by itself follows at once."""
    wish: SchemaWish = ask.body
    schemas = ask.house.services.schemas
    sync = await _sync(ask)
    try:
        comparison = await schemas.compare(sync, wish.add)
    except UnknownCollection as error:
        raise unknown_collection(error, "add") from error
    return Answer(applied_document(await schemas.apply(schema.plan(comparison, wish))))


OPERATIONS: Final = (
    Operation(
        "POST",
        f"{_ONE}/pause",
        "write",
        pause,
        "Pause a sync",
        tag=_TAG,
        description="Nothing is read from its API until it is resumed. Calls through the"
        " gateway go on and are committed as ever.",
        answer=SyncDocument,
        reach="sync",
        problems=("unknown_sync",),
    ),
    Operation(
        "POST",
        f"{_ONE}/resume",
        "write",
        resume,
        "Let a sync go on, or its held sweeps",
        tag=_TAG,
        body=Resume,
        answer=SyncDocument,
        reach="sync",
        problems=("unknown_sync", "unknown_collection", "nothing_held"),
    ),
    Operation(
        "POST",
        f"{_ONE}/resync",
        "write",
        resync,
        "Read every record anew",
        tag=_TAG,
        description="Rows stay and can be read meanwhile; writes go on.",
        body=Resync,
        answer=Resynced,
        status=202,
        reach="sync",
        problems=("unknown_sync", "unknown_collection"),
    ),
    Operation(
        "POST",
        f"{_ONE}/verify",
        "write",
        verify,
        "Compare rows with the API",
        tag=_TAG,
        description="What changed a moment ago elsewhere also differs: look again before you"
        " call it drift.",
        body=Verify,
        answer=list[Compared],
        reach="sync",
        problems=("unknown_sync", "unknown_collection", *_ASKED),
    ),
    Operation(
        "GET",
        f"{_ONE}/schema",
        "read",
        differences,
        "How the API's schema and the tables differ",
        tag=_TAG,
        answer=SchemaDocument,
        reach="sync",
        problems=("unknown_sync", *_ASKED),
    ),
    Operation(
        "POST",
        f"{_ONE}/schema/apply",
        "admin",
        apply,
        "Bring the tables to the API's schema, with what waits",
        tag=_TAG,
        description="A value that its new type cannot hold goes to `_extra` of its row.",
        body=SchemaWish,
        answer=SchemaApplied,
        reach="sync",
        problems=("unknown_sync", "unknown_collection", "in_use", *_ASKED),
    ),
)

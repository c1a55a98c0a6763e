"""Calls whose outcome nobody knows, settled by reading again.

A call is in doubt if no answer came, if the API failed over it (5xx), if its commit could
not be made, or if the process that sent it is gone. Its intent tells what it was meant to
do (`Route.draft`). The records that it names are read again, and of what it was to create
the records that are new since, in growing steps: an API may still apply a call that we
gave up. What is read is committed under the interval rule like everything else, so a look
too many does no harm.

A call is settled when reading shows that it was applied, or at the last look. What could
not be read until then (no credential, an API that is down) is marked, and the sync reads it
when it can. So every intent comes to an end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from httpproxy.exchange.directory.syncs import Directory, Live, tables_of
from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.settling.evidence import Judgement, judge
from httpproxy.exchange.settling.overlaps import Settlement
from httpproxy.store.commits.commit import Commit, Committer
from httpproxy.store.errors import Forgotten, SetAside, Stale
from httpproxy.store.events import Events
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.values import Doubt
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry
from httpproxy.store.sync.rows import Rows
from httpproxy.tasks import Spawn
from httpproxy.upstream.lane import Priority
from providers.record import Change, Dirty, Image
from providers.spec import Draft, DraftKind, Refused, Unreadable, Unrecognised

log = logging.getLogger(__name__)

LOOKS: Final = (0.0, 2.0, 10.0, 60.0, 300.0)  # seconds after the doubt arose
TICK: Final = 1.0
AT_ONCE: Final = 20
PRUNE: Final = 600.0  # seconds between clearings of old keys

_WARNED: Final = logging.DEBUG  # what was said already, and is so still
_WHY: Final = "the outcome of a call is not known"


@dataclass
class Doubts:
    """Looks after calls in doubt: this process's own, and those of processes gone.

    `now` is a monotonic clock in seconds; keys are remembered for `kept_seconds`.
    """

    intents: Intents
    directory: Directory
    registry: Registry
    events: Events
    rows: Rows
    settlement: Settlement
    committer: Committer
    spawn: Spawn
    now: Callable[[], float]
    kept_seconds: float
    under_way: set[int] = field(default_factory=set)  # ids of intents being looked at

    async def keep(self) -> None:
        """Looks until it is cancelled. Never fails."""
        pruned, away = float("-inf"), False
        while True:
            await asyncio.sleep(TICK)
            try:
                if room := AT_ONCE - len(self.under_way):
                    for doubt in await self.intents.due(room):
                        self._take_up(doubt)
                if self.now() - pruned >= PRUNE:
                    pruned = self.now()
                    await self.intents.prune(self.kept_seconds)
                away = False
            except OSError as error:
                log.log(_WARNED if away else logging.WARNING, "calls in doubt wait: %s", error)
                away = True
            except Exception:  # a query that an administrator cancels ends no service
                log.exception("calls in doubt could not be looked after")

    def _take_up(self, doubt: Doubt) -> None:
        if doubt.id not in self.under_way:  # it waits for a permit still
            self.under_way.add(doubt.id)
            self.spawn(self._look_after(doubt), f"doubt {doubt.request_id}")

    async def _look_after(self, doubt: Doubt) -> None:
        """One look at one call. Never fails: without its word the call comes again."""
        try:
            live = self.directory.of(doubt.sync_id)
            if live is None:
                await self._require_sync(doubt)
                await self._later(doubt, "this process does not know its sync")
            else:
                await self._look(doubt, live)
        except OSError as error:
            log.warning("request %s: in doubt still: %s", doubt.request_id, error)
        except Forgotten:
            self.intents.end(doubt.id)
        except Exception:
            log.exception("request %s: its outcome cannot be looked at", doubt.request_id)
        finally:
            self.under_way.discard(doubt.id)

    async def _require_sync(self, doubt: Doubt) -> None:
        """Raises Forgotten if the sync was deleted: nothing is left that could change."""
        if await self.registry.sync(doubt.sync_id) is None:
            raise Forgotten(f"the sync {doubt.sync_id} was deleted")

    async def _look(self, doubt: Doubt, live: Live) -> None:
        tables = await tables_of(live, self.registry)
        drafts: Sequence[Draft] = _drafts(doubt, live, tables)
        last = doubt.looks + 1 >= len(LOOKS)
        try:
            drafts = await self._named(tables, drafts)
            if doubt.looks == 0:
                await self._mark(live, _unnamed(drafts))
            seen = await self._read(doubt, live, tables, drafts)
        except (Refused, Rejected, Unrecognised, SetAside, Stale, LookupError) as error:
            if last:
                await self._mark(live, _everything(drafts))
                await self._settle(doubt, Judgement("unclear"), f"marked, as {error}")
            else:
                await self._later(doubt, f"{error}")
            return
        judgement, open_ = seen
        if judgement.outcome != "applied" and not last:
            await self._later(doubt, f"{judgement.outcome} at look {doubt.looks + 1}")
            return
        await self._mark(live, (*_unnamed(drafts), *open_))
        await self._settle(doubt, judgement, judgement.outcome)

    async def _named(self, tables: SyncTables, drafts: Iterable[Draft]) -> list[Draft]:
        """The drafts; those that name their record by a value with its key, if our row has
        that value."""
        found: list[Draft] = []
        for draft in drafts:
            table, row = tables.tables[draft.collection], None
            if draft.key is None and draft.match is not None:
                row = await self.rows.of_value(table, *draft.match)
            if row is not None:
                key = tuple(str(row[column.name]) for column in table.key)
                found.append(replace(draft, key=key))
            else:
                found.append(draft)
        return found

    async def _read(
        self, doubt: Doubt, live: Live, tables: SyncTables, drafts: Sequence[Draft]
    ) -> tuple[Judgement, list[Dirty]]:
        """Reads what the call may have changed, and commits it. What it tells of the call,
        and what is to be read again because others went on writing it."""
        start = self.committer.clock()
        keys = [(draft.collection, draft.key) for draft in drafts if draft.key is not None]
        named = await self.settlement.read(live, tables, keys, Priority.REREAD)
        created: list[Image] = []
        for collection_id in sorted({d.collection for d in drafts if _may_create(d)}):
            since = doubt.began_at
            created += await self.settlement.created(live, tables, collection_id, since)
        ours = await self._not_of_others(doubt, created)
        judgement = judge(drafts, named, ours, doubt.began_at)
        # Another call in doubt may have made the rest: none of it is told to be this one's.
        made = [image for image in created if image.record_id in judgement.records]
        rest = [image for image in created if image.record_id not in judgement.records]
        open_: list[Dirty] = []
        for origin, images in ((doubt.origin, (*named, *made)), ("doubt", tuple(rest))):
            change = Change(images=tuple(images))
            applied = await self.committer.commit(
                Commit(tables, change, start, live.sync.id, origin, doubt.request_id)
            )
            open_ += (Dirty(image.collection, image.key, _WHY) for image in applied.overlaps)
        return judgement, open_

    async def _not_of_others(self, doubt: Doubt, created: Sequence[Image]) -> tuple[Image, ...]:
        """Those that no other call of the application made. Only a key has to know."""
        if not doubt.keyed or not created:
            return tuple(created)
        others = await self.events.created_by_others(
            doubt.sync_id, doubt.request_id, doubt.began_at, [i.record_id for i in created]
        )
        return tuple(
            image for image in created if (image.collection, image.record_id) not in others
        )

    async def _mark(self, live: Live, marks: Iterable[Dirty]) -> None:
        wanted = list(marks)
        if wanted:
            await self.registry.mark_dirty(live.sync, wanted)

    async def _later(self, doubt: Doubt, why: str) -> None:
        nth = min(doubt.looks + 1, len(LOOKS) - 1)
        await self.intents.looked(doubt.id, why, LOOKS[nth] - LOOKS[nth - 1])

    async def _settle(self, doubt: Doubt, judgement: Judgement, said: str) -> None:
        log.info("request %s was in doubt: %s", doubt.request_id, said)
        await self.intents.looked(
            doubt.id, said, None, outcome=judgement.outcome, records=judgement.records
        )


def _drafts(doubt: Doubt, live: Live, tables: SyncTables) -> tuple[Draft, ...]:
    """What the call was meant to do; the collections of its path if that cannot be read."""
    request = doubt.request
    match = live.api.router.match(request.method, request.host, request.path)
    if match is None or match.route.draft is None:
        return ()
    try:
        return match.route.draft(request, match.variables, tables.schema)
    except Unreadable:
        named = (tables.schema.find(spelling) for spelling in match.variables.values())
        return tuple(Draft(each.id, DraftKind.TOUCH) for each in named if each)


def _may_create(draft: Draft) -> bool:
    return draft.key is None and draft.kind in (DraftKind.CREATE, DraftKind.UPSERT)


def _unnamed(drafts: Iterable[Draft]) -> list[Dirty]:
    """The collections of records that the call changes without naming them."""
    unnamed = {d.collection for d in drafts if d.key is None and d.kind is not DraftKind.CREATE}
    return [Dirty(collection, None, _WHY) for collection in sorted(unnamed)]


def _everything(drafts: Iterable[Draft]) -> list[Dirty]:
    keys = dict.fromkeys((draft.collection, draft.key) for draft in drafts)
    return [Dirty(collection, key, _WHY) for collection, key in keys]

"""Lets the tables of a sync follow what discovery found, and what the operator decides.

Which steps those are is `evolution`'s business; here they are taken. A table is changed
in a transaction of its own, under the sync's lock, so that the commits of other tables
wait for none of it; its layout's version tells writers that have not heard of it. What
one table refuses keeps no other from following.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import psycopg

from httpproxy.store.database import QUERIES, Connection, Database, next_revision
from httpproxy.store.errors import Unavailable
from httpproxy.store.layouts import choices, drift, evolution, layout, statements, steps
from httpproxy.store.layouts.choices import Choice
from httpproxy.store.layouts.drift import Counts, Difference
from httpproxy.store.layouts.evolution import Plan, Present
from httpproxy.store.layouts.layout import Layout
from httpproxy.store.layouts.steps import Refusal
from httpproxy.store.layouts.tables import Column, Table
from providers.record import Collection

log = logging.getLogger(__name__)

ATTEMPTS: Final = 3

Accepted = Mapping[str, AbstractSet[str]]
"""Collection id -> ids of the fields whose columns may lose values to `_extra`."""
NOTHING: Final[Accepted] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of it: whether anything changed, and what could not be."""

    changed: bool = False
    refused: tuple[Refusal, ...] = ()


class Following:
    """Changes the layouts of syncs' tables. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def layouts(self, sync_id: str) -> list[Layout]:
        """A sync's tables with all that is known of their fields."""
        async with self._database.transaction() as connection:
            return await layout.read_layouts(connection, sync_id)

    async def follow(
        self,
        sync_id: str,
        found: Sequence[Collection],
        *,
        gone: Sequence[str] = (),
        accepted: Accepted = NOTHING,
    ) -> Followed:
        """Brings the tables to what was found; collections named in neither stay.

        `gone` are ids of collections that are not there any more: their tables stay.
        Commits go on meanwhile: a table is locked for the moment of its change. Raises
        Unavailable, after all others have followed, if another session holds a table for
        seconds on end.
        """
        done: list[Followed] = []
        held: Unavailable | None = None
        for collection in await self._due(sync_id, found, accepted):
            consent = accepted.get(collection.id, frozenset())
            try:
                done.append(await self._follow(sync_id, collection, consent))
            except Unavailable as error:
                held = error
        if gone:
            done.append(await self._remove(sync_id, gone))
        if held is not None:
            raise held
        return Followed(any(d.changed for d in done), tuple(r for d in done for r in d.refused))

    async def compare(
        self, sync_id: str, found: Sequence[Collection], *, gone: Sequence[str] = ()
    ) -> list[Difference]:
        """What `follow` would do, what waits, and what it would cost. Changes nothing."""
        async with self._database.transaction() as connection:
            layouts, presents = await _state(connection, sync_id)
            differences: list[Difference] = []
            for collection in found:
                known = layouts.get(collection.id)
                if known is None:
                    differences.append(drift.new_table(collection))
                    continue
                present = presents.get(known.table.name, Present())
                plan = evolution.plan(known.kept, collection, present)
                counts = await _counts(connection, known.table, plan, present)
                differences += drift.of_table(known, collection, plan, present, counts)
            differences += [
                drift.gone_table(each)
                for each in layouts.values()
                if each.table.collection.id in gone
            ]
            return differences

    async def choose(self, sync_id: str, collection: str, field: str, choice: Choice) -> bool:
        """Makes a user's choice for a column; whether anything is other than before.

        Raises LookupError for an unknown collection or field, Indispensable for a column
        that cannot be deselected, NameTaken, InUse if something of the user's shows a
        column that is to go.
        """
        for _ in range(ATTEMPTS):
            try:
                async with self._database.transaction() as connection:
                    await connection.execute(QUERIES["lock_sync"], {"id": sync_id})
                    layouts, presents = await _state(connection, sync_id)
                    known = layouts[collection]
                    present = presents.get(known.table.name, Present())
                    made = await choices.make(connection, known, present, field, choice)
                    if made.changed:
                        await _touch(connection, sync_id)
                break
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                held = error
        else:
            raise Unavailable(f"the table of {collection} is locked by another") from held
        await self._move_values(known.table, made.awaiting)
        return made.changed

    async def lock_table(self, sync_id: str, collection: str, *, locked: bool) -> None:
        """Whether all of a table's columns keep their names when their fields are renamed.
        What is unlocked takes the name of its field at once, unless the user has given it
        one of its own."""
        named = {"sync_id": sync_id, "upstream_id": collection, "locked": locked}
        async with self._database.transaction() as connection:
            await connection.execute(QUERIES["lock_sync"], {"id": sync_id})
            layouts, _ = await _state(connection, sync_id)
            known = layouts[collection]
            await connection.execute(QUERIES["lock_names"], named)
            if not locked:
                parameters = {"number": known.table.number}
                await connection.execute(QUERIES["unlock_names"], parameters)
        if not locked and not known.removed:
            await self.follow(sync_id, [known.upstream])

    async def drop_column(self, sync_id: str, collection: str, field: str) -> None:
        """Drops the column of a field that is gone upstream, with all that it holds.

        Raises InUse if something of the user's shows it, LookupError if the field is not
        gone or has no column.
        """
        async with self._database.transaction() as connection:
            await connection.execute(QUERIES["lock_sync"], {"id": sync_id})
            layouts, _ = await _state(connection, sync_id)
            known = layouts[collection]
            column = next(
                (k.column for k in known.kept if k.field.id == field and k.removed), None
            )
            if column is None:
                raise LookupError(f"{field} is no removed field of {collection}")
            await steps.bound_waiting(connection)
            await choices.drop(connection, known.table, column)
            parameters = {"number": known.table.number, "field": field}
            await connection.execute(QUERIES["forget_field"], parameters)
            await _touch(connection, sync_id)

    async def _due(
        self, sync_id: str, found: Sequence[Collection], accepted: Accepted
    ) -> list[Collection]:
        """The collections whose tables have a step to take: mostly none."""
        async with self._database.transaction() as connection:
            layouts, presents = await _state(connection, sync_id)
            seen = {"sync_id": sync_id, "found": [each.id for each in found]}
            await connection.execute(QUERIES["saw_collections"], seen)
        return [
            each
            for each in found
            if (known := layouts.get(each.id)) is None
            or (present := presents.get(known.table.name)) is None
            or steps.renamed(known, each)
            or evolution.plan(known.kept, each, present, accepted.get(each.id, ())).changed
        ]

    async def _follow(
        self, sync_id: str, found: Collection, accepted: AbstractSet[str]
    ) -> Followed:
        for attempt in range(ATTEMPTS):
            try:
                return await self._follow_once(sync_id, found, accepted)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                log.warning("collection %s: table is locked (%d)", found.id, attempt + 1)
                held = error
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:  # a rule of the user's own
                said = error.diag.message_primary or str(error)
                log.warning("collection %s: its table cannot follow: %s", found.id, said)
                return Followed(refused=(Refusal(found.name, "", said),))
        raise Unavailable(f"the table of {found.name} is locked by another session") from held

    async def _follow_once(
        self, sync_id: str, found: Collection, accepted: AbstractSet[str]
    ) -> Followed:
        async with self._database.transaction() as connection:
            sync = await (
                await connection.execute(QUERIES["lock_sync"], {"id": sync_id})
            ).fetchone()
            if sync is None:
                return Followed()
            layouts, _ = await _state(connection, sync_id)
            known = layouts.get(found.id)
            if known is None and await layout.come_back(connection, sync_id, found.id):
                await _touch(connection, sync_id)
                known = (await _state(connection, sync_id))[0][found.id]
            if known is None:
                await layout.make_tables(connection, sync_id, sync["schema_name"], [found])
                await _touch(connection, sync_id)
                return Followed(changed=True)
            taken = await steps.take(connection, known, found, accepted)
            if not taken.changed:
                return Followed(changed=found.id not in layouts, refused=taken.refused)
            await steps.record(connection, known, found, taken)
            await _touch(connection, sync_id)
        await self._move_values(known.table, taken.plan.awaiting)
        return Followed(changed=True, refused=taken.refused)

    async def _move_values(self, table: Table, awaiting: Sequence[Column]) -> None:
        """Moves values that waited in `_extra` into their columns, column by column."""
        async with self._database.connection() as connection:
            for column in awaiting:
                try:
                    await connection.execute(statements.move_over(table, column))
                except psycopg.OperationalError:
                    raise
                except psycopg.Error as error:  # a constraint or a trigger of the user's
                    log.warning(
                        "column %s.%s: values stay in _extra: %s",
                        table.name,
                        column.name,
                        error.diag.message_primary,
                    )

    async def _remove(self, sync_id: str, gone: Sequence[str]) -> Followed:
        async with self._database.transaction() as connection:
            await connection.execute(QUERIES["lock_sync"], {"id": sync_id})
            parameters = {"sync_id": sync_id, "gone": list(gone)}
            removed = await connection.execute(QUERIES["remove_collections"], parameters)
            if removed.rowcount:
                await _touch(connection, sync_id)
            return Followed(changed=removed.rowcount > 0)


async def _state(
    connection: Connection, sync_id: str
) -> tuple[dict[str, Layout], dict[str, Present]]:
    """The layouts by collection, and what the tables have in fact, by name."""
    found = await layout.read_layouts(connection, sync_id)
    layouts = {each.table.collection.id: each for each in found}
    schema = found[0].table.schema_name if found else None
    return layouts, await layout.read_presents(connection, schema) if schema else {}


async def _touch(connection: Connection, sync_id: str) -> None:
    """Tells other processes."""
    parameters = {"id": sync_id, "revision": await next_revision(connection)}
    await connection.execute(QUERIES["touch_sync"], parameters)


async def _counts(
    connection: Connection, table: Table, plan: Plan, present: Present
) -> dict[str, Counts]:
    """What columns hold that are to change their type, by their new names. Reads the
    whole table for each."""
    before = {new: old for old, new in plan.renames}
    counts: dict[str, Counts] = {}
    for retype in plan.waiting:
        column = retype.column
        name = before.get(column.name, column.name)
        if name in present.columns:
            asked = replace(retype, column=replace(column, name=name))
            done = await connection.execute(statements.count_unfit(table, asked))
            row = await done.fetchone() or {"held": 0, "unfit": 0, "beside": 0}
            counts[column.name] = Counts(row["held"], row["unfit"], row["beside"])
    return counts

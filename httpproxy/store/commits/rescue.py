"""A commit that the database did not take, on its own.

What is done depends on the trouble (`troubles`): a locked table is tried again later;
a changed layout is read again, or repaired if the user has dropped something; a value
that its column cannot hold is set aside in `_extra`; and what the user's own rules
refuse goes to the quarantine, with the record marked to be read again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from httpproxy.store.commits import misfits
from httpproxy.store.commits.batch import Applied, Pending, Place, mark
from httpproxy.store.commits.troubles import DatabaseTrouble, trouble_of
from httpproxy.store.commits.writer import REFUSED, UNREADABLE, BatchOutcome, Writer
from httpproxy.store.database import connect_parameters
from httpproxy.store.errors import Forgotten, SetAside
from httpproxy.store.layouts import layout
from httpproxy.store.layouts.tables import Row, Table
from providers.record import Image

log = logging.getLogger(__name__)

_TRIES: Final = 4  # a commit may need a layout, then a repair, then a value set aside
# What our own read brought would be refused again at once: it is for the operator to act.
_LATER: Final = 900.0  # seconds
_NOTHING_DONE: Final = BatchOutcome(0, frozenset())
_NOT_FOUND: Final = "a record was named by a value that no row, or more than one, holds"


class Rescue:
    """Deals with one commit at a time, and remembers the layouts it had to learn.

    misfits      values that were set aside because their column could not hold them
    quarantined  images that the user's tables refused
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._learnt: dict[int, Table] = {}
        self.misfits = 0
        self.quarantined = 0

    def layout(self, table: Table) -> Table:
        """The table as it is now, as far as we know."""
        learnt = self._learnt.get(table.number)
        return table if learnt is None or learnt.version <= table.version else learnt

    async def transact(self, writer: Writer, item: Pending) -> BatchOutcome | None:
        """Commits one item, whatever it takes; None if it is to be tried again later.

        Raises psycopg.Error if the database is away.
        """
        last: Exception | None = None
        tries = 0
        while tries < _TRIES:
            try:
                if last is not None and not await self._improve(writer, item, last):
                    tries += 1
                await self.look_up(writer, item)
                return await writer.transact([item], self.layout)
            except (psycopg.Error, *UNREADABLE) as error:
                last = error
            except Forgotten as error:
                item.refused = error
                await self._end(writer, item)
                return _NOTHING_DONE
            trouble = trouble_of(last)
            if trouble is DatabaseTrouble.AWAY:
                raise last
            if trouble is DatabaseTrouble.BUSY:
                return None
            if trouble is DatabaseTrouble.REFUSED:
                break
        if len(item.images) > 1:
            return await self._each(writer, item)
        return await self._quarantine(writer, item, last)

    async def give_up(self, writer: Writer, item: Pending) -> BatchOutcome:
        """Sets aside a commit over which the connection was lost again and again."""
        why = ConnectionError("the connection to the database was lost over it every time")
        return await self._quarantine(writer, item, why) or _NOTHING_DONE

    async def _improve(self, writer: Writer, item: Pending, error: Exception) -> bool:
        """Does what may help against the last error. True if another process had changed
        the layout: that happens any number of times."""
        if trouble_of(error) is DatabaseTrouble.LAYOUT:
            return await self._learn(writer, item)
        await self._set_aside(writer, item)
        return False

    async def look_up(self, writer: Writer, item: Pending) -> None:
        """Finds the keys of records that are named by a value. Where that fits none, or
        more than one, the collection is marked to be read again."""
        if not item.by_match:
            return
        lost = await writer.look_up(item, self.layout)
        numbers = {item.commit.tables.tables[image.collection].number for image in lost}
        await writer.mark([mark(number, None, _NOT_FOUND) for number in numbers])

    async def _learn(self, writer: Writer, item: Pending) -> bool:
        """Reads the layouts of the item's tables, and repairs tables whose layout we had
        right. Whether there was any news. Raises Forgotten."""
        parameters = connect_parameters(prepare=False)
        async with await AsyncConnection.connect(
            self._dsn, row_factory=dict_row, autocommit=True, **parameters
        ) as connection:
            found = await layout.read_layouts(connection, item.commit.sync_id)
            now = {each.table.number: each.table for each in found}
            tables = item.commit.tables.tables
            # What is of no sync any more is nobody's; what the same answer says beside goes in.
            item.images = tuple(i for i in item.images if tables[i.collection].number in now)
            if not item.images:
                raise Forgotten(f"sync {item.commit.sync_id} is not in the registry any more")
            known = self._tables(item)
            self._learnt.update({table.number: now[table.number] for table in known})
            same = [t for t in known if now[t.number].version == t.version]
            for table in same:
                async with connection.transaction():
                    await layout.repair(connection, table)
                await writer.mark([mark(table.number, None, "the table was repaired")])
        return len(same) < len(known)

    def _tables(self, item: Pending) -> list[Table]:
        tables = item.commit.tables.tables
        return [self.layout(tables[name]) for name in {i.collection for i in item.images}]

    async def _set_aside(self, writer: Writer, item: Pending) -> None:
        """Moves values that their columns refuse to `_extra`."""
        item.careful = True
        tables = item.commit.tables.tables
        fitting = [
            await self._fitting(writer, self.layout(tables[image.collection]), image)
            for image in item.images
        ]
        item.images = tuple(fitting)

    async def _fitting(self, writer: Writer, table: Table, image: Image) -> Image:
        version = image.updated_at
        if version is not None and not await writer.takes_version(version):
            image = replace(image, updated_at=None)
        fitting, count = await misfits.set_aside(writer.takes, table, image)
        self.misfits += count
        return fitting

    async def _each(self, writer: Writer, item: Pending) -> BatchOutcome | None:
        """Image by image: one of them is what the table refuses. The intent is that of all."""
        whole = replace(item.commit, intent=None, answer=None)
        tick, overlaps, refused, token = 0, frozenset[Place](), 0, ""
        for image in item.images:
            part = replace(item, commit=whole, images=(image,), settle=_nobody)
            outcome = await self.transact(writer, part)
            if outcome is None:
                return None
            if part.refused is not None:
                refused += 1
                item.refused = SetAside(refused, str(part.refused))
            tick, overlaps = max(tick, outcome.tick), overlaps | outcome.overlaps
            token = outcome.token or token
        if not overlaps:
            await self._end(writer, item)
        return BatchOutcome(tick, overlaps, token)

    async def _end(self, writer: Writer, item: Pending) -> None:
        """Ends the item's intent. One that cannot be ended now is looked after later."""
        try:
            await writer.end([item])
        except psycopg.Error as error:
            if trouble_of(error) is DatabaseTrouble.AWAY:
                raise
            log.warning("request %s: its intent is left", item.commit.request_id)

    async def _quarantine(
        self, writer: Writer, item: Pending, why: Exception | None
    ) -> BatchOutcome | None:
        """Keeps an image that the table refuses where the operator can see it."""
        request_id, state = item.commit.request_id, None
        whose = {"request_id": request_id, "sync_id": item.commit.sync_id}
        if isinstance(why, psycopg.Error):
            state = why.sqlstate
        try:
            for image in item.images:
                table = self.layout(item.commit.tables.tables[image.collection])
                number, told = table.number, _told(table.selected(image))
                await writer.quarantine(
                    (number, image.record_id), told, (state, str(why)), request_id
                )
                if item.commit.origin == "sync":
                    place = (number, image.record_id)
                    await writer.mark_for_later(place, image.key, _LATER)
                else:
                    await writer.mark([mark(number, image.key, REFUSED)])
        except psycopg.Error as error:
            if trouble_of(error) is DatabaseTrouble.AWAY:
                raise
            log.exception("request %s: cannot even be set aside", request_id, extra=whose)
            return None
        await self._end(writer, item)
        self.quarantined += len(item.images)
        said = _without_row(why)
        text = "request %s: set aside in httpproxy.quarantine: %s"
        log.error(text, request_id, said, extra=whose)
        item.refused = SetAside(len(item.images), said)
        return _NOTHING_DONE


def _without_row(why: Exception | None) -> str:
    """What a log may tell: the detail of a failed constraint would be the whole row."""
    if isinstance(why, psycopg.Error):
        return why.diag.message_primary or type(why).__name__
    return str(why)


def _told(image: Image) -> Row:
    return {
        "collection": image.collection,
        "key": list(image.key),
        "kind": image.kind.value,
        "values": dict(image.values),
        "extra": dict(image.extra),
        "updated_at": image.updated_at,
        "data": image.data,
    }


def _nobody(_: Applied | Exception) -> bool:
    return False

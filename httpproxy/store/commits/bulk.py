"""Pages of a listing, committed as fast as Postgres takes them.

A first listing brings records of which nothing is known yet. For these the interval rule
has nothing to compare, and neither has the upsert: one statement (bulk.sql) takes them in,
with meta rows and events. Everything else is the committer's:

    load(page) ──> records unlike the usual (partial, deleted, archived) ──────> Committer
         │
         └──> one transaction: new records, marks ──> known already, refused ──> Committer
                                            └──────> whatever Postgres refuses ─> Committer

So the guard, the comparison of rows and all dealing with trouble exist once, in `commit`;
a listing of records that are known goes at its pace. How much this saves, and why it is not
COPY, is told in docs/decisions/0009-backfill.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import psycopg

from httpproxy.store.commits.batch import SUSPECT, Applied, Commit, mark_rows
from httpproxy.store.commits.commit import Committer
from httpproxy.store.commits.encoding import encoded
from httpproxy.store.commits.pages import PageLayout, compiled, rows
from httpproxy.store.commits.writer import UNREADABLE, Writer, marked, open_writer
from httpproxy.store.errors import Unavailable, is_away
from httpproxy.store.intents.columns import text
from httpproxy.store.layouts.tables import Table, is_deleted
from httpproxy.store.wire import Statement
from providers.record import Change, Image, ImageKind

log = logging.getLogger(__name__)

CONNECTIONS: Final = 2  # one page is prepared while another is written
_LAYOUTS_KEPT: Final = 500


class Loader:
    """Commits pages, several at once if asked to. Open it with `async with`.

    It connects when it has something to do. `committer` is this process's own, open for as
    long as the loader is.
    """

    def __init__(self, dsn: str, committer: Committer) -> None:
        self._dsn = dsn
        self._committer = committer
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[Writer] = []
        self._layouts: dict[int, PageLayout] = {}
        self._losses = 0

    def __repr__(self) -> str:
        return f"Loader(idle={len(self._idle)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def load(self, commit: Commit) -> Applied:
        """Commits a page; means what `Committer.commit` means, and raises what it raises.

        New records and the page's marks are one transaction. Raises Unavailable if the
        database is away; the page is then to be loaded again.
        """
        usual, rest = _sorted_out(commit)
        if not usual or self._losses >= SUSPECT:
            self._losses = 0
            return await self._committer.commit(commit)
        try:
            statements = [self._statement(commit, *page) for page in usual]
            if commit.change.dirty:
                statements.append(_marks(commit))
            left_alone = await self._run(statements, len(usual))
        except psycopg.Error as error:
            if is_away(error):
                if self._committer.available:
                    self._losses += 1  # it may be the page that breaks the connection
                raise Unavailable(f"the database is away: {error}") from error
            log.debug("a page is committed with care: %s", error.sqlstate)
            return await self._committer.commit(commit)
        except UNREADABLE:
            return await self._committer.commit(commit)
        self._losses = 0
        taken = 0
        for (_, images), known in zip(usual, left_alone, strict=True):
            taken += len(images) - len(known)
            rest += [image for image in images if image.record_id in known] if known else []
        if not rest:
            return Applied(taken)
        left = replace(commit, change=Change(tuple(rest)))
        applied = await self._committer.commit(left)
        return replace(applied, rows=taken + applied.rows)

    async def _run(self, statements: Sequence[Statement], pages: int) -> list[set[str]]:
        """Runs statements as one transaction; the records that each of the first `pages`
        has left alone. Raises psycopg.Error."""
        async with self._turns:
            writer = self._idle.pop() if self._idle else await self._connect()
            try:
                if len(statements) > 1:
                    answers = await writer.pipeline(statements)
                else:
                    answers = [await writer.alone(statements[0])]
            except BaseException as error:
                # Cancelled on the way, it is in a state that nobody knows.
                if isinstance(error, psycopg.Error) and not is_away(error):
                    self._idle.append(writer)
                else:
                    await writer.close()
                raise
            self._idle.append(writer)
        found = answers[:pages]
        self._committer.saw(max(int(answer[0][0] or 0) for answer in found))
        return [{record.decode() for _, record in rows if record is not None} for rows in found]

    async def _connect(self) -> Writer:
        writer = await open_writer(self._dsn)
        try:
            await writer.forward_clock(self._committer.clock())
        except BaseException:
            await writer.close()
            raise
        return writer

    def _statement(self, commit: Commit, table: Table, images: Sequence[Image]) -> Statement:
        """What loads a table's images. Raises UNREADABLE."""
        layout = self._layout(table)
        page = encoded(rows(table, layout, images))
        read_at = None if commit.read_at is None else repr(commit.read_at).encode()
        named = (read_at, text(commit.origin), text(commit.request_id))
        clock = (b"%d" % commit.start, b"%d" % self._committer.clock())
        return Statement(layout.statement, (page, *named, *clock))

    def _layout(self, table: Table) -> PageLayout:
        known = self._layouts.get(table.number)
        if known is not None and known.version == table.version:
            return known
        if len(self._layouts) >= _LAYOUTS_KEPT:
            self._layouts.pop(next(iter(self._layouts)))
        made = self._layouts[table.number] = compiled(table)
        return made


def _sorted_out(commit: Commit) -> tuple[list[tuple[Table, list[Image]]], list[Image]]:
    """Whole images by table, in the order in which the guard locks; and the others.

    Nothing but others if two images are of one record, which the committer folds, or if one
    is of an unknown collection, for which it refuses all of them.
    """
    images, tables = commit.change.images, commit.tables.tables
    places = {(image.collection, image.key) for image in images}
    if len(places) < len(images) or not tables.keys() >= {name for name, _ in places}:
        return [], list(images)
    found: dict[str, list[Image]] = {}
    rest: list[Image] = []
    for image in images:
        if image.kind is ImageKind.REPLACE and image.match is None and not is_deleted(image):
            found.setdefault(image.collection, []).append(image)
        else:
            rest.append(image)
    pages = sorted((tables[name].number, name) for name in found)
    return [(tables[name], found[name]) for _, name in pages], rest


def _marks(commit: Commit) -> Statement:
    tables = commit.tables.tables
    return marked(
        mark_rows(
            (tables[dirty.collection].number, dirty)
            for dirty in commit.change.dirty
            if dirty.collection in tables
        )
    )

"""The interval rule: which image may take the place of which."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.commits.writer import Writer
from providers.record import Image, ImageKind
from tests.store.world import World, deletion, image

OLD, NEW = "2024-05-01T10:00:00.000Z", "2024-05-01T10:00:00.001Z"
MERGE, ARCHIVE = ImageKind.MERGE, ImageKind.ARCHIVE

# The image that is there, the one that comes, and what becomes of the second if it was
# (after) begun after the first was committed, or (overlap) begun before.
CASES = {
    "whole, no versions": (image(name="a"), image(name="b"), "b", "refused"),
    "newer version": (
        image(name="a", updated_at=OLD),
        image(name="b", updated_at=NEW),
        "b",
        "b",
    ),
    "older version": (
        image(name="a", updated_at=NEW),
        image(name="b", updated_at=OLD),
        "b",
        "a",
    ),
    "equal versions, other content": (
        image(name="a", updated_at=OLD),
        image(name="b", updated_at=OLD),
        "b",
        "refused",
    ),
    "equal content": (image(name="a"), image(name="a"), "a", "a"),
    "a version against none": (
        image(name="a"),
        image(name="b", updated_at=NEW),
        "b",
        "refused",
    ),
    "merge over whole, newer": (
        image(name="a", updated_at=OLD),
        image(kind=MERGE, name="b", updated_at=NEW),
        "b",
        "b",
    ),
    "merge over whole, older": (
        image(name="a", updated_at=NEW),
        image(kind=MERGE, name="b", updated_at=OLD),
        "b",
        "a",
    ),
    "whole over merge, newer": (
        image(kind=MERGE, name="a", updated_at=OLD),
        image(name="b", updated_at=NEW),
        "b",
        "b",
    ),
    "whole over merge, older": (
        image(kind=MERGE, name="a", updated_at=NEW),
        image(name="b", updated_at=OLD),
        "b",
        "refused",
    ),
    "merge over archive, otherwise the same": (
        image(name="a", archived=True),
        image(kind=MERGE, name="a"),
        "a archived",
        "refused",
    ),
    "merge with equal content": (
        image(name="a", amount=1),
        image(kind=MERGE, name="a"),
        "a",
        "a",
    ),
    "delete": (image(name="a"), deletion(), "gone", "refused"),
    "delete of a newer version": (
        image(name="a", updated_at=OLD),
        replace(deletion(), updated_at=NEW),
        "gone",
        "refused",
    ),
    "whole over delete": (deletion(), image(name="b"), "b", "refused"),
    "newer whole over delete": (
        replace(deletion(), updated_at=OLD),
        image(name="b", updated_at=NEW),
        "b",
        "refused",
    ),
    "delete over delete": (deletion(), deletion(), "gone", "gone"),
    "archive": (image(name="a"), image(kind=ARCHIVE), "a archived", "refused"),
    "whole over archive": (
        image(name="a", archived=True),
        image(name="b", archived=False, updated_at=NEW),
        "b",
        "refused",
    ),
}


async def outcome(world: World, committer: Committer, second: Image, start: int) -> str:
    applied = await world.apply(committer, second, start=start)
    row = (await world.rows()).get("rec1")
    shown = "gone" if row is None else row["name"] + (" archived" if row["archived"] else "")
    if applied.overlaps:
        assert applied.rows == 0
        assert applied.overlaps == (second,)
        return f"refused, {shown}"
    assert applied.rows == 1
    return shown


@pytest.mark.parametrize("case", CASES)
async def test_an_image_that_began_after_the_last_one_ended_is_taken(
    case: str, world: World, committer: Committer
) -> None:
    first, second, after, _ = CASES[case]
    await world.apply(committer, first)
    assert await outcome(world, committer, second, committer.clock()) == after


@pytest.mark.parametrize("case", CASES)
async def test_an_image_that_overlaps_another_is_taken_only_if_its_version_says_so(
    case: str, world: World, committer: Committer
) -> None:
    first, second, _, overlapping = CASES[case]
    start = committer.clock()
    await world.apply(committer, first)
    kept = (await world.rows()).get("rec1")
    result = await outcome(world, committer, second, start)
    if overlapping == "refused":
        assert result.startswith("refused")
        assert (await world.rows()).get("rec1") == kept
    else:
        assert result == overlapping


async def test_equal_content_moves_the_end_on(world: World, committer: Committer) -> None:
    """A to B and back to A: the image of B began before the second A had ended."""
    start = committer.clock()
    await world.apply(committer, image(name="a"))
    between = committer.clock()
    assert (await world.apply(committer, image(name="a"), start=start)).rows == 1
    late = await world.apply(committer, image(name="b"), start=between)
    assert late.overlaps
    assert (await world.row())["name"] == "a"


async def test_a_part_told_again_with_a_newer_version_is_newer_than_one_in_between(
    world: World, committer: Committer
) -> None:
    """A to B and back to A: the answer that says A names only a part of the row."""
    start = committer.clock()
    await world.apply(committer, image(name="a", amount=1, updated_at=OLD))
    between = committer.clock()
    again = image(kind=MERGE, name="a", updated_at="2024-05-01T10:00:00.002Z")
    assert (await world.apply(committer, again, start=start)).rows == 1
    late = await world.apply(committer, image(name="b", updated_at=NEW), start=between)
    assert late.overlaps
    assert (await world.row())["name"] == "a"


async def test_content_told_again_without_a_version_leaves_the_row_none(
    world: World, committer: Committer
) -> None:
    start = committer.clock()
    await world.apply(committer, image(name="a", updated_at=OLD))
    between = committer.clock()
    assert (await world.apply(committer, image(name="a"), start=start)).rows == 1
    late = await world.apply(committer, image(name="b", updated_at=NEW), start=between)
    assert late.overlaps
    assert (await world.row())["name"] == "a"


async def test_what_is_being_judged_is_not_changed_meanwhile(
    world: World, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits between the guard's no and the look at the row."""
    start = committer.clock()
    await world.apply(committer, image(name="a"))
    real = Writer._judge

    async with await psycopg.AsyncConnection.connect(world.dsn) as other:

        async def judge(self: Writer, *arguments: Any) -> Any:
            await other.execute(
                "UPDATE httpproxy.meta SET end_seq = nextval('httpproxy.clock')"
            )
            await other.execute(f"UPDATE {world.table} SET name = 'b'")
            judging = asyncio.ensure_future(real(self, *arguments))
            await asyncio.sleep(0.05)
            await other.commit()
            return await judging

        monkeypatch.setattr(Writer, "_judge", judge)
        assert (await world.apply(committer, image(name="a"), start=start)).overlaps


async def test_a_deletion_that_overlaps_an_archiving_is_not_done_with_it(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    start = committer.clock()
    await world.apply(committer, image(kind=ARCHIVE))
    assert (await world.apply(committer, deletion(), start=start)).overlaps
    assert (await world.apply(committer, image(kind=ARCHIVE), start=start)).rows == 1
    assert (await world.apply(committer, deletion())).rows == 1
    assert await world.rows() == {}


async def test_a_stale_page_cannot_revive_a_deleted_record(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", updated_at=OLD))
    page_start = committer.clock()
    await world.apply(committer, deletion())
    stale = await world.apply(committer, image(name="a", updated_at=OLD), start=page_start)
    assert stale.overlaps
    assert await world.rows() == {}
    assert await world.events() == [("rec1", "created"), ("rec1", "deleted")]


async def test_a_page_read_before_a_write_and_committed_after_it_is_refused(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="old"), image("rec2", name="old"))
    page_start = committer.clock()
    await world.apply(committer, image(name="written"))
    page = (image(name="old"), image("rec2", name="third party"))
    applied = await world.apply(committer, *page, start=page_start)
    assert [overlap.key for overlap in applied.overlaps] == [("rec1",)]
    assert applied.rows == 1
    assert await world.names() == {"rec1": "written", "rec2": "third party"}


async def test_a_later_exchange_of_one_process_follows_an_earlier_one_of_another(
    world: World, committer: Committer
) -> None:
    async with Committer(world.dsn) as other:
        await world.apply(committer, image(name="first"))
        begun_unknowing = other.clock()
        refused = await world.apply(other, image(name="second"), start=begun_unknowing)
        assert refused.overlaps  # it cannot know that the first was over: it reads again
        read_again = await world.apply(other, image(name="second"))
        assert read_again.rows == 1
        assert (await world.row())["name"] == "second"


async def test_two_processes_on_the_same_rows_never_put_an_older_image_over_a_newer_one(
    world: World,
) -> None:
    """An upstream that counts: each exchange adds one and answers what it made."""
    upstream = {f"rec{n}": 0 for n in range(3)}
    async with Committer(world.dsn) as one, Committer(world.dsn) as two:

        async def write(committer: Committer, record: str, pause: float) -> None:
            start = committer.clock()
            await asyncio.sleep(pause)
            upstream[record] += 1
            seen = image(record, name=f"{upstream[record]:04}")
            await asyncio.sleep(pause)
            applied = await world.apply(committer, seen, start=start)
            while applied.overlaps:
                start = committer.clock()
                await asyncio.sleep(pause / 2)
                seen = image(record, name=f"{upstream[record]:04}")
                applied = await world.apply(committer, seen, start=start)

        async def client(committer: Committer, n: int) -> None:
            for turn in range(12):
                await write(committer, f"rec{(n + turn) % 3}", ((n * 7 + turn) % 5) / 1000)

        committers = [one, two]
        await asyncio.gather(*(client(committers[n % 2], n) for n in range(8)))
    assert await world.names() == {record: f"{n:04}" for record, n in upstream.items()}
    events = await world.ask(
        "SELECT upstream_id, data->>'name' AS name FROM httpproxy.event ORDER BY seq"
    )
    for record in upstream:
        history = [row["name"] for row in events if row["upstream_id"] == record]
        assert history == sorted(history), "a row went back"


async def test_the_clock_does_not_go_back_with_a_database_that_was_put_back(
    world: World, committer: Committer
) -> None:
    for n in range(3):
        await world.apply(committer, image(name=f"{n}"))
    seen = committer.clock()
    await world.ask("SELECT setval('httpproxy.clock', 1)")
    await world.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'httpproxy' AND pid <> pg_backend_pid()"
    )
    await world.apply(committer, image("rec2", name="later"), start=seen)
    assert committer.clock() > seen

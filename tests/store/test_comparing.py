"""Rows taken by chance and compared with what the API says: nothing is taken for drift
that no commit would change, and nothing that one would change is overlooked."""

from __future__ import annotations

import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.errors import Stale
from httpproxy.store.sync.comparing import Comparing, Verdict
from providers.record import Image, ImageKind
from tests.store.world import PAIRS, TASKS, World, deletion, image

ARCHIVE, MERGE = ImageKind.ARCHIVE, ImageKind.MERGE
FAR = 2**40  # a clock that nothing reaches

# What is there, what the API says, and the verdict.
CASES = {
    "equal": (image(name="a", amount=1), image(name="a", amount="1.0"), Verdict.SAME),
    "another value": (image(name="a"), image(name="b"), Verdict.DIFFERS),
    "a value that is empty now": (image(name="a", amount=1), image(name="a"), Verdict.DIFFERS),
    "an omitted checkbox is false": (image(done=False), image(), Verdict.SAME),
    "a value that no column holds": (
        image(name="a", extra={"New": 1}),
        image(name="a", extra={"New": 2}),
        Verdict.DIFFERS,
    ),
    "some fields, equal": (
        image(name="a", amount=1),
        image(kind=MERGE, name="a"),
        Verdict.SAME,
    ),
    "some fields, other": (image(name="a"), image(kind=MERGE, name="b"), Verdict.DIFFERS),
    "no row": (None, image(name="a"), Verdict.ABSENT),
    "deleted there": (image(name="a"), deletion(), Verdict.DIFFERS),
    "deleted on both sides": (None, deletion(), Verdict.SAME),
    "archived there": (image(name="a"), image(kind=ARCHIVE), Verdict.DIFFERS),
    "archived on both sides": (image(archived=True), image(kind=ARCHIVE), Verdict.SAME),
    "archived and never seen": (None, image(kind=ARCHIVE), Verdict.SAME),
    "restored": (image(archived=True), image(archived=False), Verdict.DIFFERS),
}


@pytest.fixture
def comparing(world: World) -> Comparing:
    return Comparing(world.database)


async def fill(world: World, count: int) -> None:
    await world.ask(
        f"INSERT INTO {world.table} (id) SELECT 'rec' || n FROM generate_series(1, %s) n", count
    )


@pytest.mark.parametrize("case", CASES)
async def test_the_verdict_is_what_a_commit_would_change(
    case: str, world: World, committer: Committer, comparing: Comparing
) -> None:
    there, said, verdict = CASES[case]
    if there is not None:
        await world.apply(committer, there)
    table = world.tables.tables[TASKS.id]
    before = await world.rows()
    assert await comparing.compare(table, [said], FAR) == {"rec1": verdict}
    assert await world.rows() == before
    await world.apply(committer, said)
    assert await comparing.compare(table, [said], FAR) == {"rec1": Verdict.SAME}


async def test_a_row_that_was_written_meanwhile_is_no_drift(
    world: World, committer: Committer, comparing: Comparing
) -> None:
    table = world.tables.tables[TASKS.id]
    start = committer.clock()
    await world.apply(committer, image(name="new"), image("rec2", name="gone"))
    await world.apply(committer, deletion("rec2"))
    said = [image(name="old"), image("rec2", name="old"), image("rec3", name="old")]
    verdicts = await comparing.compare(table, said, start)
    assert verdicts == {
        "rec1": Verdict.MOVED,
        "rec2": Verdict.MOVED,
        "rec3": Verdict.ABSENT,
    }
    later = await comparing.compare(table, said, committer.clock())
    assert later["rec1"] is Verdict.DIFFERS
    assert later["rec2"] is Verdict.ABSENT


async def test_a_value_that_the_users_column_refuses_is_compared_where_it_is_kept(
    world: World, committer: Committer, comparing: Comparing
) -> None:
    table = world.tables.tables[TASKS.id]
    await world.ask(f"ALTER TABLE {world.table} ALTER COLUMN amount TYPE smallint")
    said = image(name="a", amount=70000)
    assert await comparing.compare(table, [said], FAR) == {"rec1": Verdict.ABSENT}
    await world.apply(committer, said)
    assert (await world.row())["_extra"] == {"Amount": 70000}
    assert await comparing.compare(table, [said], FAR) == {"rec1": Verdict.SAME}
    other = image(name="a", amount=70001)
    assert await comparing.compare(table, [other], FAR) == {"rec1": Verdict.DIFFERS}


async def test_a_pair_is_compared_by_both_ends(
    world: World, committer: Committer, comparing: Comparing
) -> None:
    table = world.tables.tables[PAIRS.id]

    def pair(*key: str, kind: ImageKind = ImageKind.REPLACE) -> Image:
        return Image(PAIRS.id, key, kind, {} if kind is ARCHIVE else {"$labels": ["x"]})

    await world.apply(committer, pair("1", "2"), pair("1", "3"))
    said = [pair("1", "2"), pair("1", "3", kind=ARCHIVE), pair("2", "1")]
    assert await comparing.compare(table, said, FAR) == {
        "1:2": Verdict.SAME,
        "1:3": Verdict.DIFFERS,
        "2:1": Verdict.ABSENT,
    }
    assert sorted(await comparing.sample(table, 10)) == [("1", "2"), ("1", "3")]
    assert [keys async for keys in comparing.all_keys(table)] == [[("1", "2"), ("1", "3")]]


async def test_a_layout_that_has_changed_is_not_compared_by(
    world: World, comparing: Comparing
) -> None:
    table = world.tables.tables[TASKS.id]
    await world.ask("UPDATE httpproxy.collection SET version = version + 1")
    with pytest.raises(Stale):
        await comparing.compare(table, [image()], FAR)


async def test_nothing_to_compare_is_no_question(world: World, comparing: Comparing) -> None:
    nameless = Image(TASKS.id, (), ImageKind.DELETE, match=("f_name", "a"))
    table = world.tables.tables[TASKS.id]
    assert await comparing.compare(table, [nameless], FAR) == {}
    assert await comparing.sample(table, 5) == []
    assert [keys async for keys in comparing.all_keys(table)] == []


async def test_of_a_small_table_every_row_has_the_same_chance(
    world: World, comparing: Comparing
) -> None:
    await fill(world, 20)
    table = world.tables.tables[TASKS.id]
    assert len(set(await comparing.sample(table, 50))) == 20
    drawn = [key for _ in range(60) for key in await comparing.sample(table, 5)]
    assert len(drawn) == 300
    # 15 each; that one row of 20 is never drawn in 60 draws has a chance of 1 in 10^6.
    assert len(set(drawn)) == 20


async def test_a_sample_of_a_large_table_reads_few_of_its_pages(
    world: World, comparing: Comparing
) -> None:
    await fill(world, 60_000)
    table = world.tables.tables[TASKS.id]
    first, second = await comparing.sample(table, 20), await comparing.sample(table, 20)
    assert len(set(first)) == len(set(second)) == 20
    assert set(first) != set(second)
    await world.ask(f"DELETE FROM {world.table} WHERE id <> 'rec30000'")
    assert await comparing.sample(table, 20) == [("rec30000",)]


async def test_all_keys_come_once_each(world: World, comparing: Comparing) -> None:
    await fill(world, 2500)
    table = world.tables.tables[TASKS.id]
    chunks = [keys async for keys in comparing.all_keys(table)]
    assert [len(keys) for keys in chunks] == [1000, 1000, 500]
    assert len({key for keys in chunks for key in keys}) == 2500

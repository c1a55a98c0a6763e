"""Which commits go together, and which wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from httpproxy.store.commits.batch import MAX_ROWS, Commit, Pending, Queue, pending
from httpproxy.store.layouts.tables import Column, SyncTables, Table
from providers.record import Change, Collection, Image, ImageKind, Schema
from tests.store.world import PAIRS, TASKS, image


def table(number: int, collection: Collection = TASKS) -> Table:
    columns = tuple(Column(field, field.name) for field in collection.fields)
    return Table("sync_1", number, 1, "s", "t", collection, columns)


TABLES = SyncTables(Schema((TASKS, PAIRS)), {TASKS.id: table(1), PAIRS.id: table(2, PAIRS)})


def item(*images: Image) -> Pending:
    return pending(Commit(TABLES, Change(images), 0, "sync_1", "proxy", "r"), lambda _: True)


def pair(left: str) -> Image:
    return Image(PAIRS.id, (left, "x"), ImageKind.DELETE)


def filled(*items: Pending) -> Queue:
    queue = Queue()
    for each in items:
        queue.put(each)
    return queue


def test_what_is_about_different_records_goes_together() -> None:
    items = [item(image(f"rec{n}")) for n in range(5)]
    queue = filled(*items)
    assert queue.take(0.0) == items
    assert queue.take(0.0) == []


def test_what_is_about_one_record_goes_one_by_one_in_order() -> None:
    first, other, both, last = (
        item(image("a")),
        item(image("b")),
        item(image("a"), image("c")),
        item(image("c")),
    )
    queue = filled(first, other, both, last)
    assert queue.take(0.0) == [first, other]
    assert queue.take(0.0) == [both], "c waits for the one before it, though c was free"
    assert queue.take(0.0) == [last]


def test_a_record_that_is_named_by_a_value_is_looked_up_alone_and_after_the_others() -> None:
    by_value = item(Image(TASKS.id, (), ImageKind.DELETE, match=("f_name", "x")))
    before, after = item(image("a")), item(image("b"))
    queue = filled(before, by_value, after)
    assert [queue.take(0.0) for _ in range(3)] == [[before], [by_value], [after]]


def test_a_locked_table_keeps_back_its_own_commits_only() -> None:
    held, free = item(image("a")), item(pair("1"))
    queue = filled(held, free)
    queue.hold(held, until=5.0)
    assert queue.take(1.0) == [free]
    assert queue.take(4.9) == []
    assert queue.next_due() == 5.0
    assert queue.take(5.0) == [held]


def test_a_batch_is_bounded_and_a_large_commit_still_goes() -> None:
    large = item(*(image(f"rec{n}") for n in range(2 * MAX_ROWS)))
    small = [item(image(f"small{n}")) for n in range(MAX_ROWS + 5)]
    queue = filled(large, *small)
    assert queue.take(0.0) == [large]
    assert len(queue.take(0.0)) == MAX_ROWS
    assert len(queue.take(0.0)) == 5


def test_what_is_put_back_comes_first() -> None:
    items = [item(image(f"rec{n}")) for n in range(3)]
    queue = filled(*items)
    batch = queue.take(0.0)
    queue.put(item(image("later")))
    queue.put_back(batch)
    assert queue.take(0.0)[:3] == items
    assert queue.images == 0


@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), max_size=30))
def test_nothing_is_lost_doubled_or_overtaken_about_one_record(records: list[set[str]]) -> None:
    items = [item(*(image(record) for record in sorted(named))) for named in records]
    queue = filled(*items)
    taken: list[Pending] = []
    while batch := queue.take(0.0):
        names = [place for each in batch for place in each.places]
        assert len(names) == len(set(names)), "a batch holds each record once"
        taken += batch
    assert sorted(map(id, taken)) == sorted(map(id, items))
    for record in "abcdef":
        about = [each for each in items if (1, record) in each.places]
        assert [each for each in taken if each in about] == about
    assert queue.images == 0

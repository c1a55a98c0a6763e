"""A database whose end of history is lost: what was read before is read again."""

from __future__ import annotations

import pytest

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Applied, Committer
from httpproxy.store.sharing.epochs import BY_HAND, Epochs
from httpproxy.store.sharing.processes import Processes
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import RunKind
from tests.store.world import TASKS, World, image

OTHER_TIMELINE = "UPDATE httpproxy.epoch SET timeline = '00000000'"
OTHER_CLUSTER = "UPDATE httpproxy.epoch SET system = '1'"
CLOCK_PUT_BACK = "SELECT setval('httpproxy.clock', 1)"


@pytest.fixture
def epochs(world: World) -> Epochs:
    return Epochs(world.database)


async def test_nothing_that_was_read_before_a_failover_is_committed_blindly(
    world: World, committer: Committer, epochs: Epochs
) -> None:
    """The row that was newer may be among those that are lost."""
    await world.apply(committer, image("kept", name="a"))
    for lost in (OTHER_TIMELINE, CLOCK_PUT_BACK):
        for _ in range(3):
            await world.apply(committer, image("other", name="b"))
        began, epoch = committer.clock(), (await epochs.current()).value
        await world.ask(lost)
        # Neither of a record that is known, by its version too, nor of one that is not.
        old = image("kept", name="b", updated_at="2099-01-01T00:00:00Z"), image("new", name="b")
        applied = await world.apply(committer, *old, start=began)
        assert {each.key for each in applied.overlaps} == {("kept",), ("new",)}
        assert await world.names() == {"kept": "a", "other": "b"}
        assert (await epochs.current()).value == epoch + 1
        assert committer.clock() > began + 2**32
    applied = await world.apply(committer, *old)
    assert applied == Applied(2, token=applied.token), "what was read since is committed"


async def test_a_page_that_was_read_before_a_failover_is_read_again(
    world: World, committer: Committer
) -> None:
    async with Loader(world.dsn, committer) as loader:
        await loader.load(world.commit(image("one"), start=committer.clock()))
        began = committer.clock()
        await world.ask(OTHER_TIMELINE)
        late = await loader.load(world.commit(image("two"), start=began))
        assert [each.key for each in late.overlaps] == [("two",)]
        fresh = await loader.load(world.commit(image("two"), start=committer.clock()))
        assert fresh.rows == 1


async def test_what_is_the_same_as_the_row_needs_no_second_read(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    began = committer.clock()
    await world.ask(OTHER_TIMELINE)
    assert (await world.apply(committer, image(name="a"), start=began)).overlaps == ()


async def test_a_beat_notices_another_cluster_and_numbers_jump_ahead(
    world: World, epochs: Epochs
) -> None:
    processes = Processes(world.database)
    number = await processes.register("one", ["sync"])
    await processes.beat(number)
    assert (await epochs.current()).value == 1
    await world.ask(OTHER_CLUSTER)
    await processes.beat(number)
    epoch = await epochs.current()
    assert epoch.value == 2
    assert "cluster" in epoch.reason
    assert await processes.register("two", ["sync"]) > number + 500
    await processes.beat(number)
    assert (await epochs.current()).value == 2, "it begins once"


async def test_all_collections_are_listed_anew_once_and_runs_begin_anew(
    world: World, epochs: Epochs, caplog: pytest.LogCaptureFixture
) -> None:
    progress, table = Progress(world.database), world.tables.tables[TASKS.id]
    await progress.begin_run(table, RunKind.SWEEP, 1, thorough=False, mark=None)
    assert not await epochs.follow()
    await world.ask(OTHER_TIMELINE)
    assert await epochs.follow()
    assert "Epoch 2 begins" in caplog.text
    for state in await progress.states(world.sync.id):
        assert state.run is None
        assert state.wants_thorough
        assert state.whole_mark is not None
    assert not await epochs.follow()


async def test_the_operator_begins_an_epoch_by_hand(world: World, epochs: Epochs) -> None:
    assert await epochs.begin() == 2
    epoch = await epochs.current()
    assert (epoch.reason, epoch.pending) == (BY_HAND, False)
    assert all(
        state.whole_mark for state in await Progress(world.database).states(world.sync.id)
    )

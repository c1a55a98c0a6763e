"""What Postgres cannot take is stored, converted or set aside, and fails no neighbour."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from httpproxy.store.commits.commit import Committer
from httpproxy.store.commits.encoding import encoded_with_care
from httpproxy.store.database import Database
from httpproxy.store.errors import SetAside
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from providers.record import JSON, Image, ImageKind
from tests.store.world import KEY, World, image, make_sync


def nested(levels: int) -> JSON:
    value: JSON = "core"
    for _ in range(levels):
        value = [value]
    return value


# field: what it is given, what its column then holds, what `_extra` then holds
POISON: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "a NUL": ("name", "a\0b", "a\ufffdb", {}),
    "a lone surrogate": ("name", "a\ud800b", "a\ufffdb", {}),
    "an integer of 100 digits": ("amount", 10**100, Decimal(10**100), {}),
    "an integer of 2000 digits": ("amount", 10**2000, Decimal(10**2000), {}),
    "an integer of 9000 digits": ("blob", 10**9000, hex(10**9000), {}),
    "a number beyond numeric": ("amount", "1e200000", None, {"Amount": "1e200000"}),
    "a number that is none": ("amount", "twelve", None, {"Amount": "twelve"}),
    "a date that never was": ("due", "2024-02-30", None, {"Due Date": "2024-02-30"}),
    "a date beyond Postgres": ("due", "9999999-01-01", None, {"Due Date": "9999999-01-01"}),
    "a moment that never was": ("seen", "yesterdayish", None, {"Seen At": "yesterdayish"}),
    "a boolean that is none": ("done", "perhaps", None, {"Done": "perhaps"}),
    "an array that is none": ("tags", "a", None, {"Tags": "a"}),
    "an object for an array": ("tags", {"a": 1}, None, {"Tags": {"a": 1}}),
    "a NUL in an array": ("tags", ["a\0"], ["a\ufffd"], {}),
    "a NUL in a key": ("blob", {"a\0": 1}, {"a\ufffd": 1}, {}),
    "a backslash that only looks like a NUL": ("name", "\\u0000", "\\u0000", {}),
}


@pytest.mark.parametrize("case", POISON)
async def test_a_poisoned_value_is_kept_and_its_neighbours_are_committed(
    case: str, world: World, committer: Committer
) -> None:
    field, value, held, extra = POISON[case]
    poisoned = image("rec5", **{field: value, "blob": {"n": 5}} | {field: value})
    applied = await asyncio.gather(
        *(world.apply(committer, image(f"rec{n}", name=f"{n}")) for n in range(5)),
        world.apply(committer, poisoned),
        *(world.apply(committer, image(f"rec{n}", name=f"{n}")) for n in range(6, 10)),
    )
    assert [one.rows for one in applied] == [1] * 10
    rows = await world.rows()
    assert len(rows) == 10
    column = {"due": "due_date", "seen": "seen_at"}.get(field, field)
    assert rows["rec5"][column] == held
    assert rows["rec5"]["_extra"] == extra
    assert committer.misfits == (1 if extra else 0)
    assert [(f"rec{n}", "created") for n in range(10)] == sorted(await world.events())


async def test_one_poisoned_image_of_a_page_costs_only_its_own_value(
    world: World, committer: Committer
) -> None:
    page = [image(f"rec{n}", name="a", due="2024-01-01") for n in range(20)]
    page[7] = image("rec7", name="a", due="2024-13-01")
    assert (await world.apply(committer, *page)).rows == 20
    undated = [r["id"] for r in (await world.rows()).values() if r["due_date"] is None]
    assert undated == ["rec7"]


async def test_a_poisoned_version_stamp_does_not_cost_the_record(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", updated_at="2024-99-99T00:00:00Z"))
    assert (await world.row())["name"] == "a"


@pytest.mark.parametrize("levels", [150, 300, 5000])
async def test_deep_json_is_kept(levels: int, world: World, committer: Committer) -> None:
    value = nested(levels)
    await world.apply(committer, image(blob=value))
    held = (await world.row())["blob"]
    if levels <= 150:
        assert held == value
    else:
        assert "core" in str(held), "what is too deep is kept as text"


async def test_what_the_users_own_rules_refuse_goes_to_the_quarantine(
    world: World, committer: Committer, caplog: pytest.LogCaptureFixture
) -> None:
    await world.ask(f"ALTER TABLE {world.table} ADD CHECK (amount < 100)")
    good, bad = await asyncio.gather(
        world.apply(committer, image("rec1", amount=1)),
        world.apply(committer, image("rec2", amount=1000)),
        return_exceptions=True,
    )
    assert good.rows == 1
    assert isinstance(bad, SetAside)
    assert "violates check constraint" in caplog.text
    assert [t for t in (caplog.text, str(bad)) if "1000" in t] == [], "logs tell no values"
    kept = await world.ask("SELECT record_id, image, sqlstate FROM httpproxy.quarantine")
    assert kept[0]["record_id"] == "rec2"
    assert kept[0]["sqlstate"] == "23514"
    assert kept[0]["image"]["values"] == {"f_amount": 1000}
    marks = await world.ask("SELECT key FROM httpproxy.dirty")
    assert marks == [{"key": ["rec2"]}]
    with pytest.raises(SetAside):
        await world.apply(committer, image("rec3", amount=2), image("rec4", amount=2000))
    assert set(await world.rows()) == {"rec1", "rec3"}
    assert committer.quarantined == 2


async def test_what_is_refused_only_at_the_end_of_the_transaction_is_refused_too(
    world: World, committer: Committer
) -> None:
    await world.ask(
        f"ALTER TABLE {world.table} ADD UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
    )
    await world.apply(committer, image(name="taken"))
    good, bad = await asyncio.gather(
        world.apply(committer, image("rec2", name="free")),
        world.apply(committer, image("rec3", name="taken")),
        return_exceptions=True,
    )
    assert good.rows == 1
    assert isinstance(bad, SetAside)
    assert await world.names() == {"rec1": "taken", "rec2": "free"}
    assert len(await world.ask("SELECT FROM httpproxy.meta")) == 2


async def test_a_table_that_the_user_dropped_is_made_again(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    await world.ask(f"DROP TABLE {world.table}")
    await world.apply(committer, image("rec2", name="b"))
    assert await world.names() == {"rec2": "b"}
    assert await world.ask("SELECT record_id FROM httpproxy.dirty") == [{"record_id": ""}]


async def test_a_column_that_the_user_dropped_is_made_again(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    await world.ask(f"ALTER TABLE {world.table} DROP COLUMN amount, DROP COLUMN _extra")
    await world.apply(committer, image("rec2", amount=2))
    rows = await world.rows()
    assert (rows["rec1"]["amount"], rows["rec2"]["amount"]) == (None, 2)


async def test_a_column_whose_type_the_user_changed_is_written_as_it_is(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(amount=1))
    await world.ask(f"ALTER TABLE {world.table} ALTER amount TYPE text")
    await world.apply(committer, image(amount=2))
    await world.ask(f"ALTER TABLE {world.table} ALTER name TYPE integer USING NULL")
    await world.apply(committer, image(amount=3, name="three"))
    row = await world.row()
    assert (row["amount"], row["name"], row["_extra"]) == ("3", None, {"Name": "three"})


async def test_a_row_that_somebody_holds_delays_its_own_commit_only(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    pair = world.tables.tables["associations_a_b"]
    connection = await psycopg.AsyncConnection.connect(world.dsn)
    async with connection, asyncio.TaskGroup() as tasks:
        await connection.execute(f"LOCK TABLE {world.table}")
        held = [
            tasks.create_task(world.apply(committer, image(f"rec{n}", name="b")))
            for n in range(4)
        ]
        await asyncio.sleep(0.05)
        other = Image(pair.collection.id, ("1", "2"), ImageKind.REPLACE, {"$labels": []})
        async with asyncio.timeout(60):
            assert (await world.apply(committer, other)).rows == 1
        assert not any(task.done() for task in held)
        await connection.rollback()
        async with asyncio.timeout(60):
            assert [one.rows for one in await asyncio.gather(*held)] == [1] * 4
    assert len(await world.rows()) == 4


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "L"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters()), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(["name", "amount", "done", "due", "seen", "tags", "blob"])


@pytest.fixture
def poison_world(database_dsn: str) -> Iterator[tuple[asyncio.Runner, World, Committer]]:
    """A world for many examples, with a loop of its own."""
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()

        async def open_() -> tuple[World, Committer]:
            database = await opened.enter_async_context(Database(database_dsn))
            registry = Registry(database, Vault(KEY))
            sync = await make_sync(registry)
            tables = await registry.tables(sync)
            committer = await opened.enter_async_context(Committer(database_dsn))
            return World(database_dsn, database, registry, sync, tables), committer

        world, committer = runner.run(open_())
        yield runner, world, committer
        runner.run(opened.aclose())


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(values=st.dictionaries(FIELDS, VALUES), extra=st.dictionaries(st.text(), VALUES))
def test_no_value_of_any_kind_fails_a_commit(
    values: dict[str, JSON],
    extra: dict[str, JSON],
    poison_world: tuple[asyncio.Runner, World, Committer],
) -> None:
    runner, world, committer = poison_world

    async def write() -> None:
        applied = await world.apply(committer, image(extra=extra, **values))
        assert applied.rows == 1
        assert "rec1" in await world.rows()

    runner.run(write())


@given(VALUES)
def test_careful_encoding_is_strict_json_without_what_postgres_cannot_hold(value: JSON) -> None:
    text = encoded_with_care(value).decode("utf-8")
    assert "\\u0000" not in text.replace("\\\\", "")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(text, parse_constant=refuse)

"""The schema's drift from the command line: shown, accepted, refused, locked."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from neighbours.drifting import KIT, Base
from neighbours.rows import columns, rows
from neighbours.sandboxes import sandboxes
from programs import Ended

from httpproxy.cli import logs, root
from httpproxy.management.credentials.entering import NewCredential
from httpproxy.management.services import make_services
from httpproxy.management.syncs.documents import NewSync
from httpproxy.office import open_office
from httpproxy.settings.reading import read_settings
from providers.catalog import PROVIDERS

AIRTABLE = PROVIDERS["airtable"]
RECORDS = ({"Name": "a", "Notes": "12", "Status": "Todo"}, {"Name": "b", "Notes": "many"})


class Terminal(io.StringIO):
    """Somebody who sits there and has typed the answer already."""

    def isatty(self) -> bool:
        return True


@dataclass
class Drift:
    """A sync called `base` of a sandboxed base that changes, and the command line."""

    base: Base
    dsn: str

    async def run(self, *arguments: str) -> Ended:
        """A command in this process; its own are tested as such elsewhere."""
        return await asyncio.to_thread(self._run, arguments)

    def _run(self, arguments: tuple[str, ...]) -> Ended:
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        code = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                root.main(["schema", *arguments])
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, *(s.buffer.getvalue().decode() for s in (out, err)))

    async def done(self, *arguments: str) -> str:
        ended = await self.run(*arguments)
        assert ended.code == 0, ended
        return ended.out

    async def differences(self) -> list[tuple[Any, ...]]:
        found = orjson.loads(await self.done("diff", "base", "--json"))
        return [
            (d["what"], d["stage"], d["table"], d["column"], d["was"], d["becomes"])
            for d in found["differences"]
        ]

    def columns(self, table: str = "tasks") -> dict[str, str]:
        return columns(self.dsn, "airtable_base", table)

    def rows(self, table: str = "tasks") -> dict[str, dict[str, Any]]:
        return rows(self.dsn, "airtable_base", table)

    def sql(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())


async def make(folder: Path, tables: tuple[str, ...]) -> None:
    async with open_office(read_settings(None, data_dir=folder)) as office:
        credential = NewCredential(kind="airtable_token", access_token=KIT.token)
        wanted = NewSync(
            provider="airtable",
            name="base",
            account=KIT.account,
            collection_ids=list(tables) or None,
            credential=credential,
        )
        await make_services(office).syncs.create(wanted)


@pytest.fixture
async def drift(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Drift]:
    async with sandboxes() as apis:
        upstreams = orjson.dumps(dict(apis.upstreams)).decode()
        monkeypatch.setenv("HTTPPROXY_UPSTREAMS", upstreams)
        monkeypatch.setenv("DATABASE_URL", database_dsn)
        monkeypatch.setenv("HTTPPROXY_DATA_DIR", str(tmp_path))
        monkeypatch.setattr(logs, "configure", lambda *_: None)
        await asyncio.to_thread(asyncio.run, make(tmp_path, ("Tasks",)))
        yield Drift(Base(apis), database_dsn)


async def test_without_a_difference_there_is_nothing_to_show_or_apply(drift: Drift) -> None:
    shown = await drift.run("diff", "base", "--exit-code")
    assert (shown.code, shown.err) == (0, "")
    assert "base: the tables are as the API has them" in shown.out
    assert "not synced: Projects" in shown.out
    assert "nothing to apply" in await drift.done("apply", "base")


async def test_what_changed_is_shown_with_what_it_would_cost(drift: Drift) -> None:
    drift.base.retype("Tasks", "Notes", "number", lambda text: None, precision=0)
    drift.base.retype("Tasks", "Amount", "singleLineText", str)
    drift.base.rename("Tasks", {"Email": "Mail"})
    drift.base.delete_field("Tasks", "Phone")
    drift.sql("INSERT INTO airtable_base.tasks (id, notes) VALUES ('r1', '12'), ('r2', 'no')")
    assert set(await drift.differences()) == {
        ("column retyped", "waiting", "tasks", "notes", "text", "numeric"),
        ("column wider", "automatic", "tasks", "amount", "numeric", "text"),
        ("column renamed", "automatic", "tasks", "mail", "email", "mail"),
        ("field gone", "automatic", "tasks", "phone", "text", None),
    }
    shown = await drift.run("diff", "base", "--exit-code")
    assert shown.code == 4
    assert "! notes" in shown.out
    assert "1 of 2 values do not fit" in shown.out
    assert "httpproxy schema apply base --column tasks.notes" in shown.out
    assert "3 changes follow at the next discovery" in shown.out
    assert drift.columns()["amount"] == "numeric", "nothing is changed by a look"
    assert (await drift.run("diff", "base")).code == 0


async def test_what_waits_is_applied_by_name_and_loses_nothing(drift: Drift) -> None:
    for field in ("Notes", "Details"):
        drift.base.retype("Tasks", field, "number", lambda text: None, precision=0)
    drift.sql("INSERT INTO airtable_base.tasks (id, notes) VALUES ('r1', '12'), ('r2', 'no')")
    alone = await drift.run("apply", "base")
    assert alone.code == 2
    assert "--yes" in alone.err
    said = await drift.done("apply", "base", "--column", "tasks.notes", "--yes")
    assert "tasks.notes is numeric now" in said
    assert (drift.columns()["notes"], drift.columns()["details"]) == ("numeric", "text")
    found = {i: (str(r["notes"]), r["_extra"]) for i, r in drift.rows().items()}
    assert found == {"r1": ("12", {}), "r2": ("None", {"Notes": "no"})}
    await drift.done("apply", "base", "--yes")
    assert drift.columns()["details"] == "numeric"
    assert await drift.differences() == []


async def test_who_is_asked_may_say_no(drift: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    drift.base.retype("Tasks", "Notes", "number", lambda text: None, precision=0)
    for answer, code, type_ in (("n\n", 1, "text"), ("y\n", 0, "numeric")):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        ended = await drift.run("apply", "base")
        assert ended.code == code
        assert "change tasks.notes to numeric?" in ended.out
        assert drift.columns()["notes"] == type_


async def test_a_column_whose_field_is_gone_is_dropped_only_by_its_name(drift: Drift) -> None:
    drift.base.delete_field("Tasks", "Phone")
    drift.sql("INSERT INTO airtable_base.tasks (id, phone) VALUES ('r1', '0123')")
    await drift.done("apply", "base", "--yes")
    assert drift.rows()["r1"]["phone"] == "0123"
    assert await drift.differences() == [("field gone", "kept", "tasks", "phone", "text", None)]
    assert (await drift.run("diff", "base", "--exit-code")).code == 0
    other = await drift.run("apply", "base", "--drop", "tasks.name", "--yes")
    assert other.code == 2
    assert "tasks.phone" in other.err
    drift.sql("CREATE VIEW mine AS SELECT phone FROM airtable_base.tasks")
    shown = await drift.run("apply", "base", "--drop", "tasks.phone", "--yes")
    assert shown.code == 1
    assert "view mine depends on" in shown.err
    drift.sql("DROP VIEW mine")
    said = await drift.done("apply", "base", "--drop", "tasks.phone", "--yes")
    assert "dropped tasks.phone" in said
    assert "phone" not in drift.columns()
    assert await drift.differences() == []


async def test_a_view_is_named_as_what_keeps_a_type(drift: Drift) -> None:
    drift.sql("CREATE VIEW public.mine AS SELECT amount FROM airtable_base.tasks")
    drift.base.retype("Tasks", "Amount", "singleLineText", str)
    await drift.done("apply", "base", "--yes")
    assert drift.columns()["amount"] == "numeric"
    shown = await drift.done("diff", "base")
    assert "public.mine shows it" in shown
    named = await drift.run("apply", "base", "--column", "tasks.amount", "--yes")
    assert named.code == 1
    assert "public.mine" in named.err
    drift.sql("DROP VIEW mine")
    await drift.done("apply", "base", "--yes")
    assert drift.columns()["amount"] == "text"


async def test_what_a_constraint_refuses_is_told_in_postgres_own_words(drift: Drift) -> None:
    drift.sql("ALTER TABLE airtable_base.tasks ADD CONSTRAINT positive CHECK (amount > 0)")
    drift.base.retype("Tasks", "Amount", "singleLineText", str)
    ended = await drift.run("apply", "base")
    assert ended.code == 1
    assert "operator does not exist" in ended.err
    assert await drift.differences() == [
        ("column wider", "waiting", "tasks", "amount", "numeric", "text")
    ]


async def test_a_locked_name_stays_until_it_is_unlocked(drift: Drift) -> None:
    await drift.done("lock", "base", "tasks.email")
    drift.base.rename("Tasks", {"Email": "Mail", "Phone": "Telephone"})
    await drift.done("apply", "base")
    assert {"email", "telephone"} <= set(drift.columns())
    assert await drift.differences() == [("name locked", "kept", "tasks", "email", None, None)]
    assert "has the name of its field" in await drift.done("unlock", "base", "tasks.email")
    assert "mail" in drift.columns()


async def test_all_names_of_a_table_are_locked_at_once(drift: Drift) -> None:
    await drift.done("lock", "base", "tasks")
    drift.base.rename("Tasks", {"Email": "Mail"})
    await drift.done("apply", "base")
    assert "email" in drift.columns()
    one = await drift.run("unlock", "base", "tasks.email")
    assert one.code == 1
    assert "schema unlock base tasks" in one.err
    await drift.done("unlock", "base", "tasks")
    assert "mail" in drift.columns()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("diff", "nobody"), 3, "sync list"),
        (("lock", "base", "nothing"), 2, "there are: tasks"),
        (("lock", "base", "tasks.nothing"), 2, "there are: id, created_time"),
        (("apply", "base", "--column", "tasks.name", "--yes"), 2, "columns that wait: none"),
        (("apply", "base", "--add", "Nowhere", "--yes"), 2, "no collection 'Nowhere'"),
    ],
)
async def test_what_is_not_there_is_named_with_what_is(
    drift: Drift, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = await drift.run(*arguments)
    assert ended.code == code
    assert said in ended.err


async def test_a_table_that_is_not_synced_is_told_and_added_by_name(drift: Drift) -> None:
    drift.base.add_table("New\rone")
    shown = await drift.done("diff", "base")
    assert "\r" not in shown
    assert "Projects" in shown
    await drift.done("apply", "base")
    await drift.done("apply", "base", "--add", "Projects")
    assert "name" in drift.columns("projects")
    assert "Projects" not in await drift.done("diff", "base")


async def test_a_table_that_is_gone_stays_and_comes_back(drift: Drift) -> None:
    await drift.done("apply", "base", "--add", "Projects")
    gone = drift.base.delete_table("Projects")
    assert await drift.differences() == [
        ("table gone", "automatic", "projects", None, None, None)
    ]
    await drift.done("apply", "base")
    assert await drift.differences() == [("table gone", "kept", "projects", None, None, None)]
    assert "name" in drift.columns("projects")
    drift.base.restore_table(gone)
    assert await drift.differences() == [
        ("table back", "automatic", "projects", None, None, None)
    ]
    await drift.done("apply", "base")
    assert await drift.differences() == []


async def test_a_renamed_table_keeps_its_name_in_sql(drift: Drift) -> None:
    drift.base.rename_table("Tasks", "Things")
    await drift.done("apply", "base")
    assert await drift.differences() == [
        ("table renamed", "kept", "tasks", None, None, "Things")
    ]
    assert "name" in drift.columns("tasks")


async def test_a_column_is_deselected_with_leave_and_selected_again(
    drift: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift.sql("INSERT INTO airtable_base.tasks (id, notes) VALUES ('r1', '12')")
    alone = await drift.run("deselect", "base", "tasks.notes")
    assert alone.code == 2
    assert "--yes" in alone.err
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    refused = await drift.run("deselect", "base", "tasks.notes")
    assert (refused.code, "notes" in drift.columns()) == (1, True)
    assert "drop tasks.notes with its values?" in refused.out
    said = await drift.done("deselect", "base", "tasks.notes", "--yes")
    assert "nothing of Notes is kept" in said
    assert "notes" not in drift.columns()
    assert await drift.differences() == [
        ("column deselected", "kept", "tasks", None, None, None)
    ]
    shown = await drift.run("diff", "base", "--exit-code")
    assert (shown.code, '"Notes" has no column: it is not selected' in shown.out) == (0, True)
    assert "tasks.notes is selected" in await drift.done("select", "base", "tasks.notes")
    assert "notes" in drift.columns()


async def test_a_column_is_called_as_one_likes_until_it_is_unlocked(drift: Drift) -> None:
    said = await drift.done("rename", "base", "tasks.email", "address")
    assert "tasks.email is called address from now on" in said
    drift.base.rename("Tasks", {"Email": "Mail"})
    await drift.done("apply", "base")
    assert "address" in drift.columns()
    await drift.done("deselect", "base", "tasks.address", "--yes")
    await drift.done("select", "base", "tasks.Mail")
    assert "address" in drift.columns()
    await drift.done("unlock", "base", "tasks.address")
    assert "mail" in drift.columns()
    await drift.done("deselect", "base", "tasks.mail", "--yes")
    said = await drift.done("rename", "base", "tasks.mail", "post")
    assert "will be called post when it is selected" in said


async def test_columns_are_listed_with_what_was_chosen(drift: Drift) -> None:
    await drift.done("rename", "base", "tasks.email", "address")
    await drift.done("lock", "base", "tasks.phone")
    await drift.done("deselect", "base", "tasks.notes", "--yes")
    drift.base.retype("Tasks", "Details", "number", lambda text: None, precision=0)
    drift.base.delete_field("Tasks", "Website")
    await drift.done("apply", "base", "--add", "Projects")
    listed = await drift.done("columns", "base", "tasks")
    lines = {tuple(line.split()[:2]): line for line in listed.splitlines()}
    assert "name of your own" in lines["tasks", "address"]
    assert "name locked" in lines["tasks", "phone"]
    assert "numeric waits" in lines["tasks", "details"]
    assert "field gone" in lines["tasks", "website"]
    assert "tasks text Notes not selected" in " ".join(listed.split())
    told = orjson.loads(await drift.done("columns", "base", "--json"))
    assert {c["field_name"] for c in told if not c["selected"]} == {"Notes"}
    assert {c["name"] for c in told if c["own_name"]} == {"address"}


async def test_a_choice_that_cannot_be_made_is_refused_with_the_reason(drift: Drift) -> None:
    for arguments, said in (
        (("deselect", "base", "tasks.id", "--yes"), "cannot be left out"),
        (("deselect", "base", "tasks", "--yes"), "is not TABLE.COLUMN"),
        (("select", "base", "tasks.nothing"), "there are id, created"),
        (("rename", "base", "tasks.email", "Your Mail"), "name must begin"),
        (("rename", "base", "tasks.email", "phone"), "another column 'phone'"),
        (("columns", "base", "nothing"), "there are: tasks"),
    ):
        ended = await drift.run(*arguments)
        assert ended.code == 2, arguments
        assert said in ended.err


async def test_a_column_that_a_view_shows_is_not_deselected(drift: Drift) -> None:
    drift.sql("CREATE VIEW mine AS SELECT notes FROM airtable_base.tasks")
    ended = await drift.run("deselect", "base", "tasks.notes", "--yes")
    assert ended.code == 1
    assert "view mine depends on" in ended.err
    assert "notes" in drift.columns()

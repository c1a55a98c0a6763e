"""`sync pause`, `resume` and `resync`: what they change in the database, and what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from programs import Ended
from stages import Stage, act, state_of

from httpproxy.store.sync.states import RunKind

Told = Callable[..., Ended]


async def _live(stage: Stage) -> None:
    await stage.fill("rec1", "rec2")


async def _held(stage: Stage) -> None:
    await stage.fill("rec1", "rec2")
    await stage.hold(4_000, 50_000)


def _status(told: Told) -> str:
    return str(told("sync", "show", "crm", "--json").json["status"])


def test_a_sync_is_paused_and_goes_on(told: Told, database_dsn: str):
    act(database_dsn, _live)
    for _ in range(2):  # to say it twice changes nothing
        paused = told("sync", "pause", "crm")
        assert paused.code == 0
        assert "calls through the gateway go on" in paused.out
        assert "httpproxy sync resume crm" in paused.out
        assert _status(told) == "paused"
    assert told("sync", "list", "--json").json[0]["phase"] == "paused"
    assert told("sync", "resume", "crm").out == "crm goes on\n"
    assert _status(told) == "active"
    assert told("sync", "list", "--json").json[0]["phase"] == "live"
    assert told("sync", "resume", "crm").out == "crm was not paused\n"


def test_a_serving_process_hears_of_every_word(told: Told, database_dsn: str):
    heard: list[str] = []
    cursors = [0]

    async def poll(stage: Stage) -> None:
        changed, _, cursor = await stage.registry.changed_since(cursors[-1])
        heard.extend(sync.status for sync in changed)
        cursors.append(cursor)

    act(database_dsn, _held)
    for command in (["pause"], ["resume"], ["resync"]):
        act(database_dsn, poll)
        assert told("sync", command[0], "crm").code == 0
    act(database_dsn, poll)
    act(database_dsn, _held)
    assert told("sync", "resume", "crm", "--delete-missing").code == 0
    act(database_dsn, poll)
    assert heard == ["active", "paused", "active", "active", "active"]


def test_resume_says_what_is_held_and_deletes_nothing_by_itself(told: Told, database_dsn: str):
    act(database_dsn, _held)
    said = told("sync", "resume", "crm")
    assert said.code == 0
    assert "tasks: the last listing lacks 4,000 of 50,000 rows; nothing was deleted" in said.out
    assert "httpproxy sync resume crm --delete-missing tasks" in said.out
    held = state_of(database_dsn).held
    assert held is not None
    assert not held.approved


@pytest.mark.parametrize("named", [[], ["tasks"], ["Tasks"], ["tblTasks"]], ids=str)
def test_the_word_of_the_user_lets_a_held_sweep_go_on(
    told: Told, database_dsn: str, named: list[str]
):
    act(database_dsn, _held)
    said = told("sync", "resume", "crm", "--delete-missing", *named)
    assert said.code == 0
    assert "tasks: the sweep goes on" in said.out
    assert "lacks" not in said.out
    held = state_of(database_dsn).held
    assert held is not None
    assert held.approved


def test_what_is_not_held_cannot_be_agreed_to(told: Told, database_dsn: str):
    act(database_dsn, _live)
    for named in ([], ["tasks"]):
        said = told("sync", "resume", "crm", "--delete-missing", *named)
        assert (said.code, said.out) == (1, "")
        assert "is held in crm" in said.err
    unknown = told("sync", "resume", "crm", "--delete-missing", "contact")
    assert unknown.code == 2
    assert "crm has no table 'contact'; there are: tasks" in unknown.err


def test_a_word_that_is_refused_leaves_a_paused_sync_paused(told: Told, database_dsn: str):
    act(database_dsn, _live)
    told("sync", "pause", "crm")
    assert told("sync", "resume", "crm", "--delete-missing").code == 1
    assert _status(told) == "paused"


@pytest.mark.parametrize("tables", [[], ["tasks"], ["TASKS"]], ids=str)
def test_resync_has_every_record_read_anew(told: Told, database_dsn: str, tables: list[str]):
    act(database_dsn, _held)
    said = told("sync", "resync", "crm", *tables)
    assert said.code == 0
    assert "1 of crm's tables will be read anew" in said.out
    assert "sync resume" not in said.out
    state = state_of(database_dsn)
    assert (state.wants_thorough, state.held, state.run) == (True, None, None)


def test_resync_of_a_paused_sync_says_that_it_waits(told: Told, database_dsn: str):
    act(database_dsn, _live)
    told("sync", "pause", "crm")
    assert (
        "crm is paused: `httpproxy sync resume crm` first" in told("sync", "resync", "crm").out
    )


def test_resync_of_a_table_that_is_not_there_changes_nothing(told: Told, database_dsn: str):
    async def listing(stage: Stage) -> None:
        await stage.begin(RunKind.BACKFILL)

    act(database_dsn, listing)
    said = told("sync", "resync", "crm", "tasks", "contact")
    assert (said.code, said.out) == (2, "")
    assert "there are: tasks" in said.err
    assert state_of(database_dsn).run is not None


@pytest.mark.parametrize("command", ["pause", "resume", "resync", "watch"])
def test_a_sync_that_nobody_made_can_not_be_steered(told: Told, command: str):
    said = told("sync", command, "nobody")
    assert (said.code, said.out) == (3, "")
    assert "there is no sync 'nobody'" in said.err

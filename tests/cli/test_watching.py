"""`sync watch`: a picture on a terminal, a line for each change without one."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from urllib.parse import urlsplit

import pytest
from house.terminal import Terminal, typed
from neighbours.cable import Cable
from programs import Ended, Programs, clean_environment
from rich.console import Console
from stages import Stage, act, open_stage

from httpproxy.cli.failures import Failure
from httpproxy.cli.sync.watch.lines import LINES_SECONDS, Lines
from httpproxy.cli.sync.watch.screen import picture
from httpproxy.cli.sync.watch.speed import WINDOW, Speeds
from httpproxy.cli.sync.watch.views import View, settled
from httpproxy.store.registry import Sync
from httpproxy.sync.health import Health, Phase
from providers.record import Dirty

Told = Callable[..., Ended]

NOW = 1_800_000_000.0
CRM = Sync("sync_1", "hubspot", "crm", "4800", "unique", "crm", "active", None, ())
LIVE = Health(
    id="0-1",
    name="contacts",
    table="contact",
    phase=Phase.LIVE,
    under_way=False,
    records=0,
    share=None,
    thorough=False,
    rows=50_000,
    followed=True,
    lag=3.0,
    succeeded=NOW - 3,
    marks=0,
    whole=False,
    since=None,
    held=False,
    error="",
    remedy="",
    failures=0,
    requests={},
    checked=0,
    drifted=0,
)
BACKFILL = replace(
    LIVE, phase=Phase.BACKFILL, under_way=True, records=12_300, rows=12_000, lag=None
)
RESYNC = replace(BACKFILL, phase=Phase.SWEEP, share=0.42, thorough=True)
HELD = replace(LIVE, phase=Phase.HELD, held=True, error="it lacks much", remedy="say so")


def view(*collections: Health, **speeds: float) -> View:
    return View(CRM, collections, {"0-1": speeds["speed"]} if speeds else {})


def drawn(*views: View, height: int = 30, width: int = 120) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(picture(views, NOW, width, height))
    return console.export_text()


# --- the pieces --------------------------------------------------------------------------


def test_a_speed_is_what_came_in_the_last_seconds():
    speeds, place = Speeds(), ("sync", "contact")
    assert speeds.note(place, 100, 0.0) is None
    assert speeds.note(place, 400, 1.0) == 300.0
    for second in range(2, 60):
        slow = speeds.note(place, 400 + second, float(second))
    assert slow == pytest.approx(1.0)
    assert speeds.note(("sync", "company"), 5, 60.0) is None
    assert speeds.note(place, 459, 60.0 + WINDOW) == 0.0


def test_a_count_that_falls_is_another_run_s():
    speeds, place = Speeds(), ("sync", "contact")
    for second in range(3):
        speeds.note(place, 1_000 * second, float(second))
    assert speeds.note(place, 100, 3.0) is None
    assert speeds.note(place, 150, 4.0) == 50.0


def test_a_line_is_said_when_something_changes_and_only_then():
    said: list[str] = []
    lines = Lines(said.append)
    lines.show([view(BACKFILL, speed=340.0)], NOW)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d crm/contact: backfill; 12,300 read, 340/s;"
        r" 12,000 rows",
        said[0],
    )
    lines.show([view(replace(BACKFILL, rows=12_100, lag=5.0), speed=120.0)], NOW + 2)
    assert len(said) == 1
    lines.show([view(replace(BACKFILL, records=12_400))], NOW + 4)
    lines.show([view(LIVE)], NOW + 6)
    lines.show([view(replace(LIVE, lag=4.0, rows=50_001))], NOW + 8)
    lines.show([view(replace(LIVE, marks=12))], NOW + 10)
    lines.show([view(HELD)], NOW + 12)
    assert [line.split(" ", 2)[2] for line in said[1:]] == [
        "crm/contact: backfill; 12,400 read; 12,000 rows",
        "crm/contact: live; 50,000 rows; lag 3.0 s",
        "crm/contact: live; 50,000 rows; lag 3.0 s; 12 marks to be read again",
        "crm/contact: held; 50,000 rows; lag 3.0 s; it lacks much -> say so",
    ]


def test_after_an_interruption_everything_is_said_again():
    said: list[str] = []
    lines = Lines(said.append)
    lines.show([view(LIVE)], NOW)
    for _ in range(3):
        lines.say("the database does not answer", NOW + 2)
    lines.show([view(LIVE)], NOW + 4)
    lines.show([view(LIVE)], NOW + 6)
    assert [line.split(" ", 2)[2].partition(";")[0] for line in said] == [
        "crm/contact: live",
        "the database does not answer",
        "crm/contact: live",
    ]


def test_the_picture_has_a_bar_where_something_is_listed():
    shown = drawn(view(BACKFILL, replace(LIVE, id="0-2", table="company"), speed=340.0))
    contact, company = (
        next(x for x in shown.splitlines() if t in x) for t in ("contact", "company")
    )
    assert "━" in contact
    assert "━" not in company
    assert re.search(r"crm/contact +backfill +━+ +12,300 +340 +12,000 +-", contact)
    assert re.search(r"crm/company +live +50,000 +3\.0 s", company)
    assert "resync 42 %" in drawn(view(RESYNC))


def test_the_picture_says_what_is_wrong_and_what_to_do():
    shown = drawn(view(HELD))
    assert "contact: it lacks much" in shown
    assert "-> say so" in shown


def test_a_picture_that_has_no_room_for_all_leaves_out_what_is_live():
    many = [replace(LIVE, id=str(n), table=f"table{n}") for n in range(30)]
    shown = drawn(view(*many, BACKFILL), height=11)
    assert "crm/contact" in shown
    assert "crm/table3" in shown
    assert "crm/table4" not in shown
    assert "and 26 more" in shown


def test_on_a_narrow_screen_only_long_names_give_way():
    long = replace(BACKFILL, table="a_table_with_a_very_long_name_of_its_own_" * 2, marks=9_999)
    (line,) = (
        x for x in drawn(view(long, speed=123_456.0), width=80).splitlines() if "crm" in x
    )
    assert re.fullmatch(
        r"crm/a_table\w*… backfill ━+ 12,300 123,456 12,000 +- 9,999 marks", line.strip()
    )
    assert len(line) <= 80


def test_names_of_the_user_s_making_are_no_markup():
    assert "[red]x[/red]" in drawn(view(replace(HELD, table="[red]x[/red]")))


def test_settled_when_everything_is_and_not_before():
    assert settled([view(LIVE), view(LIVE, replace(LIVE, phase=Phase.REMOVED))])
    assert not settled([view(LIVE), view(BACKFILL)])
    assert not settled([view(HELD, BACKFILL)])
    with pytest.raises(Failure, match=r"crm/contact will not be live: it lacks much\. say so"):
        settled([view(LIVE, HELD)])
    paused = replace(LIVE, phase=Phase.PAUSED)
    with pytest.raises(Failure, match="sync resume crm"):
        settled([view(paused)])


# --- the command -------------------------------------------------------------------------


async def _live(stage: Stage) -> None:
    await stage.fill("rec1", "rec2")


async def _begun(stage: Stage) -> None:
    await stage.begin()
    await stage.turn("rec1", "rec2")


def test_once_is_a_line_for_each_collection(told: Told, database_dsn: str):
    act(database_dsn, _begun)
    act(database_dsn, _live, "other")
    named = told("sync", "watch", "crm", "--once")
    assert named.code == 0
    assert re.fullmatch(r"\S+ \S+ crm/tasks: backfill; 2 read; 2 rows\n", named.out)
    both = told("sync", "watch", "--once").out.splitlines()
    assert [line.split()[2] for line in both] == ["crm/tasks:", "other/tasks:"]
    assert "live; 2 rows; lag" in both[1]


def test_there_must_be_something_to_watch(told: Told):
    said = told("sync", "watch", "--once")
    assert said.code == 3
    assert "httpproxy sync create" in said.err


def test_until_live_ends_at_once_when_it_is(told: Told, database_dsn: str):
    act(database_dsn, _live)
    assert told("sync", "watch", "crm", "--until-live").out.endswith("everything is live\n")
    told("sync", "pause", "crm")
    paused = told("sync", "watch", "crm", "--until-live")
    assert paused.code == 1
    assert "sync resume crm" in paused.err


@pytest.fixture
def at_work(programs: Programs, database_dsn: str) -> Programs:
    return Programs(programs.folder, {"DATABASE_URL": database_dsn})


async def test_without_a_terminal_each_change_is_a_line(at_work: Programs, database_dsn: str):
    async with open_stage(database_dsn) as stage:
        with at_work.started("sync", "watch", "crm", "--until-live") as watching:
            await asyncio.to_thread(watching.wait_for, "crm/tasks: waiting")
            await stage.begin()
            await stage.turn("rec1", "rec2")
            await asyncio.to_thread(watching.wait_for, r"backfill; 2 read; 2 rows")
            await stage.turn("rec3", last=True)
            await stage.fail("503: away", "wait")
            await asyncio.to_thread(watching.wait_for, r"failing; 3 read.*503: away -> wait")
            await stage.end()
            await stage.hear()
            await asyncio.to_thread(watching.wait_for, "everything is live")
            assert watching.process.wait(60) == 0
            assert "\x1b" not in watching.text


async def test_a_database_that_is_away_is_waited_for(at_work: Programs, database_dsn: str):
    at = urlsplit(database_dsn)
    async with (
        Cable(at.hostname or "", at.port or 0) as cable,
        open_stage(database_dsn) as stage,
    ):
        await stage.begin()
        detour = database_dsn.replace(f":{at.port}/", f":{cable.port}/")
        watch = ("sync", "watch", "crm")
        with at_work.started(*watch, DATABASE_URL=detour) as watching:
            await asyncio.to_thread(watching.wait_for, "crm/tasks: backfill; 0 read")
            cable.cut()
            await asyncio.to_thread(watching.wait_for, r"does not answer: .* Waiting for it")
            await asyncio.sleep(LINES_SECONDS)
            cable.mend()
            await stage.turn("rec1")
            await asyncio.to_thread(watching.wait_for, "crm/tasks: backfill; 1 read")
            assert watching.text.count("does not answer") == 1
            assert "error connecting" not in watching.text
            assert await asyncio.to_thread(watching.stop, signal.SIGTERM) == 0


@pytest.fixture
def terminal(programs: Programs, database_dsn: str) -> Iterator[Terminal]:
    """A terminal of 100 columns in which `sync watch` runs."""
    variables = clean_environment(
        DATABASE_URL=database_dsn, TERM="xterm-256color", COLUMNS="100"
    )
    script = f"stty rows 20; {sys.executable} -m httpproxy sync watch"
    with typed(script, programs.folder, variables) as shown:
        yield shown


async def test_on_a_terminal_it_is_redrawn_until_ctrl_c(terminal: Terminal, database_dsn: str):
    async with open_stage(database_dsn) as stage:
        await stage.begin()
        await asyncio.to_thread(terminal.wait_for, r"crm/tasks +\S*backfill\S* +")
        await stage.turn("rec1", "rec2")
        await asyncio.to_thread(terminal.wait_for, r"\x1b\[\d?A")  # up, to draw it over
        await asyncio.to_thread(terminal.wait_for, r"━.* 2 ")
        await stage.turn("rec3", last=True)
        await stage.end()
        await stage.hear(Dirty("tblTasks", ("rec1",), "a test's"))
        await asyncio.to_thread(terminal.wait_for, r"live.*1 mark")
        assert await asyncio.to_thread(terminal.interrupt) == 0
        assert terminal.text.rstrip().endswith("\x1b[?25h")  # the cursor is back

"""What `doctor` says of a sync's health, and the words that health is told in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from programs import Ended
from stages import Stage, act
from test_watching import BACKFILL, HELD, LIVE, NOW

from httpproxy.cli.doctor.symptoms import LATE_SECONDS, MARKED_SECONDS, Finding, Level, symptoms
from httpproxy.cli.sync.reports import totals, wrongs
from httpproxy.cli.wording import ago, duration, requests, rows, truth, waiting
from httpproxy.sync.health import Health, Phase

FAILING = replace(
    LIVE,
    phase=Phase.FAILING,
    error="403: your token lacks crm.objects.contacts.read",
    remedy="add the scope",
    since=NOW - 7_200,
    failures=12,
)


def found(*collections: Health) -> list[Finding]:
    return list(symptoms("crm", collections, NOW))


def test_a_sync_that_is_well_is_not_spoken_of():
    assert found(LIVE, BACKFILL, replace(LIVE, marks=3, since=NOW - 5)) == []


def test_a_paused_sync_is_one_warning_whatever_else_there_is():
    paused = replace(FAILING, phase=Phase.PAUSED, lag=1e6)
    (finding,) = found(paused, replace(LIVE, phase=Phase.PAUSED))
    assert finding.level is Level.WARNING
    assert "paused" in finding.said
    assert "httpproxy sync resume crm" in finding.remedy


def test_a_failure_is_told_in_the_api_s_words_with_the_remedy():
    (finding,) = found(LIVE, FAILING)
    assert finding.level is Level.PROBLEM
    assert finding.about == "sync crm: contact"
    assert finding.said == f"failing: {FAILING.error} (since 2 h, 12 times)"
    assert finding.remedy == "add the scope"


def test_the_same_trouble_of_many_collections_is_told_once():
    many = [replace(FAILING, id=str(n), table=f"t{n}", since=NOW - n) for n in range(1, 31)]
    (finding,) = found(*many)
    assert finding.about == "sync crm: t1, t2, t3 and 27 more"
    assert "since 30 s" in finding.said
    other = replace(FAILING, error="429: slow down")
    assert len(found(*many, other)) == 2
    assert list(wrongs(many, NOW))[1:] == ["  -> add the scope"]


def test_a_held_sweep_is_a_warning_with_the_ways_out():
    (finding,) = found(HELD)
    assert (finding.level, finding.remedy) == (Level.WARNING, HELD.remedy)


def test_marks_that_nobody_answers_are_a_warning():
    late = replace(LIVE, whole=True, since=NOW - MARKED_SECONDS - 1)
    (finding,) = found(LIVE, late)
    assert finding.level is Level.WARNING
    assert "to be read again since 60 min" in finding.said
    assert "httpproxy serve" in finding.remedy
    assert found(replace(late, since=NOW - MARKED_SECONDS)) == []


def test_a_feed_that_nobody_asks_is_a_warning_for_all_of_them():
    late = replace(LIVE, lag=LATE_SECONDS + 1)
    (finding,) = found(late, replace(late, table="company"), LIVE)
    assert finding.said == "nobody has asked what changed in contact, company for 15 min"
    assert "httpproxy serve" in finding.remedy
    assert found(replace(LIVE, lag=LATE_SECONDS)) == []
    assert found(replace(late, phase=Phase.REMOVED)) == []
    assert found(replace(late, followed=False)) == []  # only listings tell of it


def test_a_sync_that_nobody_has_begun_is_said_to_wait():
    new = replace(LIVE, phase=Phase.WAITING, lag=None)
    (finding,) = found(new)
    assert finding.level is Level.OK
    assert "waiting to be read" in finding.said
    assert found(new, BACKFILL) == []


def test_doctor_tells_it(told: Callable[..., Ended], database_dsn: str):
    async def failing(stage: Stage) -> None:
        await stage.fill("rec1")
        await stage.fail(FAILING.error, FAILING.remedy)

    act(database_dsn, failing)
    said = told("doctor").out
    assert f"FAIL  sync crm: tasks: failing: {FAILING.error}" in said
    assert "      -> add the scope" in said


def test_show_and_list_tell_it_to_people_and_to_scripts(
    told: Callable[..., Ended], database_dsn: str
):
    async def failing(stage: Stage) -> None:
        await stage.fill("rec1", "rec2")
        await stage.fail(FAILING.error, FAILING.remedy)
        await stage.progress.count_requests({(stage.table.number, "backfill"): 1_234})
        await stage.progress.count_truth(stage.table, 20, 1)

    act(database_dsn, failing)
    shown, listed = told("sync", "show", "crm").out, told("sync", "list").out
    for line in (f"tasks: {FAILING.error} (since ", "  -> add the scope"):
        assert line in shown
        assert line in listed
    assert "crm/tasks: 403" in listed
    (row,) = (line for line in shown.splitlines() if line.startswith("tasks  failing"))
    assert "backfill 1,234" in row
    assert "20 compared, 1 differed" in row
    data = told("sync", "show", "crm", "--json").json
    assert data["phase"] == "failing"
    (collection,) = data["collections"]
    assert (collection["table"], collection["rows"]) == ("tasks", 2)
    assert (collection["error"], collection["remedy"]) == (FAILING.error, FAILING.remedy)
    assert collection["requests"] == {"backfill": 1_234}
    assert collection["truth"] == {"checked": 20, "drifted": 1}
    assert collection["succeeded_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7_199.0, "120 min"),
        (7_200.0, "2 h"),
        (172_800.0, "2 d"),
    ],
)
def test_durations_have_one_unit(seconds: float | None, said: str):
    assert duration(seconds) == said


def test_the_list_tells_the_longest_lag_of_what_is_followed():
    listed = replace(LIVE, followed=False, lag=50_000.0)
    assert totals([LIVE, replace(LIVE, lag=7.0), listed]) == ("live", "150,000", "7.0 s")
    assert totals([listed]) == ("live", "50,000", "-")


def test_words_for_counts_and_moments():
    assert (rows(10_000), rows(10_001), rows(1_234_567)) == ("10,000", ">10,000", "1,234,567")
    assert (ago(None, NOW), ago(NOW + 5, NOW), ago(NOW - 60, NOW)) == (
        "never",
        "0.0 s ago",
        "60 s ago",
    )
    assert requests({"reread": 1_200, "backfill": 0}) == "reread 1,200"
    assert requests({}) == "none"
    assert waiting(replace(LIVE, marks=1)) == "1 mark"
    assert waiting(replace(LIVE, marks=10_000, whole=True)) == "all and 10,000+ marks"
    assert truth(LIVE) == "-"

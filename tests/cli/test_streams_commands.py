"""`httpproxy events` and `httpproxy records`: what was committed, in a terminal or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from programs import Ended, Programs
from stages import act

Told = Callable[..., Ended]

EVENT = """
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, event, data, changes, origin, request_id)
SELECT s.id, c.upstream_id, %(id)s, %(event)s, NULL, %(changes)s::jsonb, 'proxy', 'r'
FROM httpproxy.sync s JOIN httpproxy.collection c ON c.sync_id = s.id LIMIT 1
"""


def happened(dsn: str, id_: str, event: str = "created", changes: str | None = None) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(EVENT, {"id": id_, "event": event, "changes": changes})


@pytest.fixture
def filled(database_dsn: str) -> str:
    """A database with a sync, `crm`, and three events."""

    async def made(stage) -> None:
        assert stage.sync.name == "crm"

    act(database_dsn, made)
    happened(database_dsn, "a")
    happened(database_dsn, "b", "updated", '{"f_name": "before"}')
    happened(database_dsn, "c", "deleted", '{"f_name": "gone"}')
    return database_dsn


def records_of(told: Ended) -> list[str]:
    return [json.loads(line)["upstream_id"] for line in told.out.splitlines()]


def test_events_are_shown_the_newest_last(told: Told, filled: str) -> None:
    shown = told("events")
    assert shown.code == 0, shown
    lines = [line.split() for line in shown.out.splitlines()]
    assert [line[2] for line in lines] == ["created", "updated", "deleted"]
    assert lines[1][4:] == ["b", "proxy", "Name"]
    assert records_of(told("events", "--limit", "2", "--json")) == ["b", "c"]


def test_cursors_go_on_in_both_directions(told: Told, filled: str) -> None:
    first = told("events", "--after", "start", "--limit", "2", "--json")
    assert records_of(first) == ["a", "b"]
    option, cursor = first.err.split()[-2:]
    assert option == "--after"
    assert records_of(told("events", option, cursor, "--json")) == ["c"]
    newest = told("events", "--before", "now", "--limit", "2", "--json")
    assert records_of(newest) == ["c", "b"]
    option, cursor = newest.err.split()[-2:]
    assert option == "--before"
    last = told("events", option, cursor, "--json")
    assert records_of(last) == ["a"]
    assert last.err == ""
    end = told("events", "--event", "updated", "--origin", "sync")
    assert end.out == ""
    assert end.err.startswith("more: --after ")


def test_events_are_filtered(told: Told, filled: str) -> None:
    kinds = ("--event", "created", "--event", "deleted")
    assert records_of(told("events", "--sync", "crm", *kinds, "--json")) == ["a", "c"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--after", "x"), 2, "Link header"),
        (("--after", "now", "--before", "now"), 2, "choose one"),
        (("--follow", "--before", "now"), 2, "--follow"),
        (("--sync", "nowhere"), 3, "`httpproxy sync list`"),
        (("--collection", "Nowhere"), 2, "Nowhere"),
        (("--provider", "salesforce"), 2, "airtable"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(
    told: Told, filled: str, options: tuple[str, ...], code: int, said: str
) -> None:
    refused = told("events", *options)
    assert refused.code == code, refused
    assert said in refused.err


def test_records_are_shown_once_each(told: Told, filled: str) -> None:
    happened(filled, "a", "deleted", "{}")
    shown = told("records", "--event", "deleted", "--json")
    assert records_of(shown) == ["c", "a"]
    assert [json.loads(line)["deleted"] for line in shown.out.splitlines()] == [True, True]
    option, cursor = told("records", "--limit", "1").err.split()[-2:]
    assert option == "--after"
    assert records_of(told("records", option, cursor, "--json"))[-1] == "a"


@pytest.mark.parametrize("command", ["events", "records"])
def test_following_goes_on_until_ctrl_c(filled: str, tmp_path: Path, command: str) -> None:
    programs = Programs(tmp_path, {"DATABASE_URL": filled})
    with programs.started(command, "--follow", "--json", "--event", "deleted") as running:
        running.wait_for('"upstream_id":"c"')
        happened(filled, "late", "deleted", "{}")
        running.wait_for('"upstream_id":"late"')
        assert running.stop() == 0
    assert running.text.count('"upstream_id":"c"') == 1

"""`httpproxy mutate`: the same as the API's mutations, without a service that runs."""

from __future__ import annotations

import json

import pytest
from programs import InProcess, Programs

from providers.catalog import PROVIDERS

AIRTABLE = PROVIDERS["airtable"].sandbox


@pytest.fixture
def at_work(sandboxed: Programs, database_dsn: str) -> Programs:
    return InProcess(sandboxed.folder, {**sandboxed.variables, "DATABASE_URL": database_dsn})


def test_records_are_changed_from_the_command_line(at_work: Programs):
    create = ("sync", "create", "airtable", "--base", AIRTABLE.account, "--table", "Tasks")
    at_work.done(*create, "--name", "tasks", "--rate", "1000/1", stdin=AIRTABLE.token)
    digits = 99_999_999_999_999_999_999  # more than orjson reads as a whole number
    given = json.dumps([{"Name": "from here", "Notes": digits}, {"Name": "and here"}])
    tried = at_work.done("mutate", "create", "tasks", "Tasks", "--data", given, "--dry-run")
    assert [each["new"]["name"] for each in tried.json["preview"]["changes"][:2]] == [
        "from here",
        "and here",
    ]
    once = ("--idempotency-key", "once", "--json")
    made = at_work.done("mutate", "create", "tasks", "Tasks", *once, stdin=given).json
    ids = [result["upstream_id"] for result in made["results"]]
    assert made["results"][0]["data"]["Notes"] == str(digits)
    again = at_work.done("mutate", "create", "tasks", "Tasks", *once, stdin=given).json
    assert [result["upstream_id"] for result in again["results"]] == ids
    query = "select name from airtable_tasks.tasks where name like '%here' order by name"
    shown = at_work.done("db", "query", query, "--json").json
    assert [row["name"] for row in shown] == ["and here", "from here"]
    upsert = json.dumps([{"Name": "and here"}, {"Name": "x", "Status": "no such option"}])
    ended = at_work.run("mutate", "upsert", "tasks", "Tasks", "--match", "Name", stdin=upsert)
    assert ended.code == 1
    assert f"0      applied  {ids[1]}" in ended.out
    assert "1      failed" in ended.out
    assert "INVALID_MULTIPLE_CHOICE_OPTIONS" in ended.out


def test_what_is_wrong_is_said_in_words(at_work: Programs):
    nobody = at_work.run("mutate", "delete", "nobody", "Tasks", "--data", '["rec1"]')
    assert (nobody.code, "nobody" in nobody.err) == (3, True)
    broken = at_work.run("mutate", "create", "tasks", "Tasks", "--data", "{")
    assert (broken.code, "no valid JSON" in broken.err) == (2, True)
    number = at_work.run("mutate", "create", "tasks", "Tasks", "--data", "5")
    assert (number.code, "data must be an array" in number.err) == (2, True)

"""Log lines: what they look like, and that no secret gets into one."""

from __future__ import annotations

import json
import logging

import psycopg
import pytest

from httpproxy.cli.logs import JsonFormatter, TextFormatter, masked
from httpproxy.store.errors import KeyMismatch

SECRETS = [
    ("Authorization: Bearer pat-na1-secret-secret", "pat-na1-secret-secret"),
    ("basic c2VjcmV0OnNlY3JldA== was refused", "c2VjcmV0OnNlY3JldA=="),
    ("connecting to postgresql://user:hunter2@host:5432/db", "hunter2"),
    ("GET /crm/v3/objects?hapikey=secret-key&limit=1", "secret-key"),
    ("host=h user=u password=hunter2 dbname=d", "hunter2"),
    (f"key hpk_{'a2' * 8}_{'Ab-_' * 10}xyz was refused", "Ab-_Ab-_"),
    (f"patABCDEFGHIJKLMN.{'0af3' * 16}", "0af30af3"),
    ("it said pat-na1-0123abcd-0123-0123-0123-0123456789ab", "0123abcd"),
    (f"POST /{'aB-_' * 8}/api.airtable.com/v0", "aB-_aB-_"),
    (f"POST /{'aB-_' * 8}/https://api.hubapi.com/crm", "aB-_aB-_"),
]


def _record(message: str, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("httpproxy.x", logging.WARNING, "x.py", 1, message, (), None)
    vars(record).update(extra)
    return record


def _fail(text: str) -> None:
    raise LookupError(text)


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_in_a_message_is_masked(text: str, secret: str):
    for line in (
        masked(text),
        TextFormatter().format(_record(text)),
        JsonFormatter().format(_record(text)),
        JsonFormatter().format(_record("x", detail=text)),
    ):
        assert secret not in line
        assert "…" in line


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_in_an_exception_is_masked(text: str, secret: str):
    record = _record("failed")
    with pytest.raises(LookupError) as caught:
        _fail(text)
    record.exc_info = (caught.type, caught.value, caught.tb)
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record)
        assert "LookupError" in line
        assert secret not in line


def _refused_by_postgres(dsn: str, statement: str) -> psycopg.Error:
    table = "CREATE TEMP TABLE t (id text, name text NOT NULL, CHECK (id <> 'hunter2'))"
    with psycopg.connect(dsn) as connection:
        connection.execute(table)
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement)
    return caught.value


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("INSERT INTO t VALUES ('hunter2-id', NULL)", "23502"),
        ("INSERT INTO t VALUES ('hunter2', 'x')", "23514"),
        ("SELECT 'hunter2 of May'::date", "22007"),
        ("SELECT '{\"a\": hunter2}'::jsonb", "22P02"),
    ],
)
def test_what_postgres_quotes_of_a_row_is_in_no_line(
    statement: str, state: str, database_dsn: str
) -> None:
    error = _refused_by_postgres(database_dsn, statement)
    assert "hunter2" in str(error)
    wrapped = ExceptionGroup("several", [LookupError(), RuntimeError("a commit failed")])
    wrapped.exceptions[1].__cause__ = error
    for shown in (error, wrapped):
        record = _record("failed")
        record.exc_info = (type(shown), shown, None)
        for formatter in (TextFormatter(), JsonFormatter()):
            line = formatter.format(record)
            assert "hunter2" not in line
            assert state in line
            assert type(error).__name__ in line
            record.exc_text = None
    said = logging.LogRecord("x", logging.WARNING, "x", 1, "not written: %s", (error,), None)
    for formatter in (TextFormatter(), JsonFormatter()):
        assert "hunter2" not in formatter.format(said)


def test_a_value_that_python_quotes_is_in_no_line_and_our_own_words_are() -> None:
    record = _record("failed")
    with pytest.raises(ValueError, match="hunter2") as caught:
        int("hunter2")
    record.exc_info = (caught.type, caught.value, None)
    line = TextFormatter().format(record)
    assert "hunter2" not in line
    assert "ValueError: invalid literal for int() with base 10: …" in line
    ours = KeyMismatch("sealed with key 'abcd'")
    record.exc_info, record.exc_text = (type(ours), ours, None), None
    assert "sealed with key 'abcd'" in TextFormatter().format(record)


def test_a_message_makes_no_line_that_looks_like_one_of_ours() -> None:
    forged = "fine\n2026-01-01 00:00:00,000 ERROR   httpproxy: forged\r\x1b[31m\u2028x"
    lines = TextFormatter().format(_record(forged)).splitlines()
    assert len(lines) == 1
    assert "fine\\n2026" in lines[0]
    assert "\x1b" not in lines[0]


def test_what_is_no_secret_stays_as_it_is():
    text = "sync sync_abc: tasks in http://127.0.0.1:8080/x took 3 ms (bearer of news)"
    assert masked(text) == text


def test_a_json_line_has_the_members_that_collectors_read_and_the_extra_ones():
    line = json.loads(JsonFormatter().format(_record("slow", sync="sync_1", seconds=1.5)))
    assert line.pop("time")
    assert line == {
        "level": "warning",
        "logger": "httpproxy.x",
        "message": "slow",
        "sync": "sync_1",
        "seconds": 1.5,
    }

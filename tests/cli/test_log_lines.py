"""Log lines: what they look like, and that no secret gets into one."""

from __future__ import annotations

import json
import logging

import pytest

from httpproxy.cli.logs import JsonFormatter, TextFormatter, masked

SECRETS = [
    ("Authorization: Bearer pat-na1-secret-secret", "pat-na1-secret-secret"),
    ("basic c2VjcmV0OnNlY3JldA== was refused", "c2VjcmV0OnNlY3JldA=="),
    ("connecting to postgresql://user:hunter2@host:5432/db", "hunter2"),
    ("GET /crm/v3/objects?hapikey=secret-key&limit=1", "secret-key"),
    ("host=h user=u password=hunter2 dbname=d", "hunter2"),
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

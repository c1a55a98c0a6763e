"""Making a sync tells how far the discovery is, wherever it is told to."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from house.terminal import typed
from programs import Programs, clean_environment

from httpproxy.cli.sync.discovering import narrated
from providers.catalog import PROVIDERS
from providers.http import Request, Response, headers
from providers.record import Collection
from providers.spec import Conversation, Refused

HUBSPOT = PROVIDERS["hubspot"]
ANSWER = Response(200, headers())
THINGS = Collection("things", "Things", ())


def held(answers: int, *, refused: bool = False) -> tuple[Collection, ...]:
    """The result of a narrated discovery that takes so many answers."""

    def discover(_: str, __: tuple[str, ...] | None) -> Conversation[tuple[Collection, ...]]:
        for _ in range(answers):
            assert (yield Request("GET", "api.hubapi.com", "/")) is ANSWER
        if refused:
            raise Refused(ANSWER, "no", "ask somebody")
        return (THINGS,)

    conversation = narrated(replace(HUBSPOT, discover=discover)).discover("4800", None)
    try:
        next(conversation)
        while True:
            conversation.send(ANSWER)
    except StopIteration as done:
        result: tuple[Collection, ...] = done.value
        return result


def test_lines_for_logs_are_few(capsys: pytest.CaptureFixture[str]):
    assert held(250) == (THINGS,)
    said = capsys.readouterr()
    asking = "asking HubSpot which collections there are …"
    assert said.err.splitlines() == [
        asking,
        f"{asking} 100",
        f"{asking} 200",
        "1 collection, in 250 answers",
    ]
    assert said.out == ""


def test_a_terminal_has_one_line_that_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    held(2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    parts = [
        part.removeprefix("asking HubSpot which collections there are …")
        for part in said.split("\r")
    ]
    assert parts == ["", " 1", " 2", " 1 collection, in 2 answers\n"]


def test_a_discovery_that_is_refused_ends_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(Refused, match="ask somebody"):
        held(1, refused=True)
    assert capsys.readouterr().err.endswith("no answer to go by, in 1 answer\n")


def test_a_new_sync_says_what_happens_next(sandboxed: Programs, database_dsn: str):
    kit = HUBSPOT.sandbox
    variables = {**sandboxed.variables, "DATABASE_URL": database_dsn}
    program = f"{sys.executable} -m httpproxy"
    made = f"{program} sync create hubspot --object contact --name crm"
    environment = clean_environment(**variables, HTTPPROXY_TOKEN=kit.token)
    with typed(made, sandboxed.folder, environment) as terminal:
        terminal.wait_for(r"which collections there are … 2")
        terminal.wait_for(r"which collections there are … \d+ collections?, in \d+ answers\n")
        terminal.wait_for("run `httpproxy serve`")
        terminal.wait_for("`httpproxy sync watch crm` shows how far it is")
        assert terminal.end() == 0

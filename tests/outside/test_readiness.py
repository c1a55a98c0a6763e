"""Ready is who can take calls; each thing that is truly stuck says so, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from neighbours.cable import Cable
from outside.opened import Opened, open_door

from httpproxy.api import checks
from httpproxy.api.readiness import Check, Readiness
from httpproxy.cli.failures import Failure, explaining_port
from httpproxy.outside import open_outside


class Part:
    """A part whose state the test sets."""

    available = True
    lag = 0.0
    owned = True
    pid: int | None = 7


async def _becomes(opened: Opened, status: int, failing: frozenset[str] = frozenset()) -> dict:
    """The answer of /readyz once its status is this, and at least these checks fail."""
    async with asyncio.timeout(60):
        while True:
            answer = await opened.ask("/readyz")
            failed = {check["name"] for check in answer.json()["checks"] if not check["ok"]}
            if answer.status_code == status and failing <= failed:
                return answer.json()
            await asyncio.sleep(0.05)


def test_a_process_is_ready_between_its_start_and_its_drain():
    readiness = Readiness([], float)
    assert readiness.verdict().reasons() == ["the process is starting"]
    readiness.serve()
    assert readiness.verdict().ready
    readiness.drain()
    assert not readiness.verdict().ready
    readiness.serve()  # too late
    assert readiness.verdict().state == "draining"
    assert "draining" in repr(readiness)


def test_a_check_counts_once_it_has_failed_for_its_grace_and_no_longer_than_it_fails():
    now, said = [0.0], ["away"]
    readiness = Readiness([Check("database", lambda: said[0], 10.0)], lambda: now[0])
    readiness.serve()
    assert readiness.verdict().ready
    now[0] = 9.9
    (finding,) = readiness.verdict().findings
    assert finding.members() == {"name": "database", "ok": True, "why": "away", "for": 9.9}
    now[0] = 10.0
    assert readiness.verdict().reasons() == ["database: away"]
    said[0] = None
    assert readiness.verdict().ready
    said[0], now[0] = "away", 15.0  # it counts from its new beginning
    assert readiness.verdict().ready


@pytest.mark.parametrize(
    ("check", "attribute", "stuck"),
    [
        (lambda part: checks.database(part, 0.0), "available", False),
        (lambda part: checks.intents(part, 0.0), "available", False),
        (lambda part: checks.commits(part, 10.0), "lag", 10.0),
        (checks.embedded, "pid", None),
        (lambda part: checks.lease(lambda: part.available), "available", False),
    ],
    ids=["database", "intents", "commits", "embedded", "lease"],
)
def test_what_is_stuck_is_named(check, attribute, stuck):
    part = Part()
    readiness = Readiness([check(part)], float)
    readiness.serve()
    assert readiness.verdict().ready
    setattr(part, attribute, stuck)
    (reason,) = readiness.verdict().reasons()
    assert reason.partition(":")[2]


def test_the_server_of_another_process_is_not_ours_to_miss():
    part = Part()
    part.owned, part.pid = False, None
    assert checks.embedded(part).probe() is None


async def test_the_door_says_whether_calls_should_come_and_why_not(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path) as opened:
        starting = await opened.ask("/readyz")
        assert starting.status_code == 503
        assert starting.json()["reasons"] == ["the process is starting"]
        opened.readiness.serve()
        ready = await opened.ask("/readyz")
        assert ready.status_code == 200
        names = [check["name"] for check in ready.json()["checks"]]
        assert names == ["database", "commits", "intents", "lease"]
        head = await opened.ask("/readyz", "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        alive = await opened.ask("/healthz")
        assert (alive.status_code, alive.json()) == (200, {"alive": True})
        opened.readiness.drain()
        assert (await opened.ask("/readyz", "HEAD")).status_code == 503
        assert (await opened.ask("/healthz")).status_code == 200


async def test_a_database_that_is_away_for_longer_than_the_grace_makes_it_unready(
    database_dsn: str, tmp_path: Path
):
    at = urlsplit(database_dsn)
    async with Cable(at.hostname or "", at.port or 5432) as cable:
        through = at._replace(netloc=at.netloc.replace(f":{at.port}", f":{cable.port}"))
        async with open_door(through.geturl(), tmp_path, ready_grace=0.5) as opened:
            opened.readiness.serve()
            await _becomes(opened, 200)
            cable.cut()
            # Each is seen to be away when it next asks, so they cross the grace one by one.
            await _becomes(opened, 503, failing=frozenset({"database", "intents"}))
            assert (await opened.ask("/healthz")).status_code == 200
            metrics = await opened.ask("/metrics")
            assert metrics.status_code == 200
            assert 'httpproxy_database_available{worker="0"} 0.0' in metrics.text
            cable.mend()
            await _becomes(opened, 200)


async def test_what_this_door_refuses_is_a_problem_with_a_request_id(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path) as opened:
        lost, wrong = await opened.ask("/nothing"), await opened.ask("/metrics", "POST")
        for answer, status, code in (
            (lost, 404, "not_found"),
            (wrong, 405, "method_not_allowed"),
        ):
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            said = answer.json()
            assert (answer.status_code, said["status"], said["code"]) == (status, status, code)
            assert said["request_id"] == answer.headers["X-Request-Id"]
            assert said["source"] == "api"
        assert wrong.headers["Allow"] == "GET, HEAD"
        assert "/v1/openapi.json" in lost.json()["detail"]
        assert lost.json()["request_id"] != wrong.json()["request_id"]


async def test_a_handler_that_fails_is_logged_under_the_id_that_is_answered(
    database_dsn, tmp_path, caplog, monkeypatch
):
    async with open_door(database_dsn, tmp_path) as opened:
        monkeypatch.setattr(opened.readiness, "verdict", lambda: 1 // 0)
        answer = await opened.ask("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert answer.json()["request_id"] in caplog.text
        monkeypatch.undo()


async def test_a_port_that_is_taken_is_said_with_the_setting_to_change(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path) as opened:
        office = opened.inside.office
        port = int(opened.url.rpartition(":")[2])
        settings = office.settings.model_copy(update={"api_port": port})
        again = replace(opened.inside, office=replace(office, settings=settings))
        with (
            pytest.raises(Failure, match="--api-port or HTTPPROXY_API_PORT"),
            explaining_port("api_port", "127.0.0.1", port),
        ):
            async with open_outside(again, opened.readiness):
                raise AssertionError("two doors on one port")

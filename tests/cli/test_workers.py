"""`serve --workers`, killed, replaced and ended under load: no call goes without its answer."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import psycopg
import pytest
import requests
from neighbours.ports import free_port
from programs import Ended, Programs, Running, clean_environment, still_there
from urllib3.exceptions import NewConnectionError

from httpproxy.sockets import listen, port_of
from providers.catalog import PROVIDERS

AIRTABLE = PROVIDERS["airtable"]
KIT = AIRTABLE.sandbox
CLIENTS = 6
# The descriptors from 3 on, and whose they are.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execve(sys.executable, [sys.executable, "-m", "httpproxy", "serve"], {**os.environ, **told})
"""


@pytest.fixture
def serving(
    sandboxed: Programs,
    sandbox_origin: str,
    database_dsn: str,
    told: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> Programs:
    """Programs with a sync of the sandbox's base, and no limit to reach."""
    free = {"airtable": {"base_rate": 0, "token_rate": 0}}
    requests.post(f"{sandbox_origin}/_sandbox/switches", json=free, timeout=60)
    monkeypatch.setenv("HTTPPROXY_UPSTREAMS", sandboxed.variables["HTTPPROXY_UPSTREAMS"])
    monkeypatch.setenv("HTTPPROXY_TOKEN", KIT.token)
    create = ("sync", "create", "airtable", "--base", KIT.account, "--table", "Tasks")
    assert told(*create, "--rate", "1000000/60").code == 0
    sandboxed.variables["DATABASE_URL"] = database_dsn
    return sandboxed


@dataclass
class Load:
    """Clients that keep their connections and write one record after the other."""

    root: str
    ended: threading.Event = field(default_factory=threading.Event)
    made: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def work(self) -> None:
        url = f"{self.root}/v0/{KIT.account}/Tasks"
        fields = {"Authorization": f"Bearer {KIT.token}"}
        with requests.Session() as session:
            while not self.ended.is_set():
                try:
                    answer = session.post(url, json={"fields": {}}, headers=fields, timeout=60)
                    if answer.ok:
                        self.made.append(answer.json()["id"])
                    else:
                        self.failed.append(answer.text)
                except requests.ConnectionError as error:
                    reason = getattr(error.args[0], "reason", None)
                    nobody = isinstance(reason, NewConnectionError)
                    (self.refused if nobody else self.failed).append(repr(error))
                    time.sleep(0.05)

    def wait_for_more(self, count: int = 30) -> None:
        wanted, until = len(self.made) + count, time.monotonic() + 60.0
        while len(self.made) < wanted:
            assert time.monotonic() < until, (self.failed[:3], self.refused[:3])
            time.sleep(0.02)


@contextmanager
def _load(root: str) -> Iterator[Load]:
    load = Load(root)
    threads = [threading.Thread(target=load.work) for _ in range(CLIENTS)]
    for each in threads:
        each.start()
    try:
        load.wait_for_more()
        yield load
    finally:
        load.ended.set()
        for each in threads:
            each.join()


def _root(running: Running, dsn: str) -> str:
    """The API root of the sync, once it is served."""
    gateway = running.wait_for(r"gateway on (http://\S+)\n")[1]
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT unique_id FROM httpproxy.sync").fetchone()
    assert row is not None
    return f"{gateway}/{row[0]}/{AIRTABLE.hosts[0]}"


def _workers(running: Running) -> list[psutil.Process]:
    found = []
    for each in psutil.Process(running.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # as one that is being replaced
            if "--handed" in each.cmdline():
                found.append(each)
    return found


def _rows(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT schema_name FROM httpproxy.sync").fetchone()
        assert row is not None
        return {r[0] for r in connection.execute(f"SELECT id FROM {row[0]}.tasks".encode())}


def test_workers_are_replaced_under_load_and_no_call_fails(
    serving: Programs, database_dsn: str
) -> None:
    arguments = ("serve", "--workers", "2", "--gateway-port", "0")
    with serving.started(*arguments) as running, _load(_root(running, database_dsn)) as load:
        before = _workers(running)
        assert len(before) == 2
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("all 2 workers have been replaced")
        load.wait_for_more()
        after = _workers(running)
        assert len(after) == 2
        assert not {each.pid for each in before} & {each.pid for each in after}
        assert (load.failed, load.refused) == ([], [])
        # One that is killed takes the calls with it that were under way in it, no others.
        after[0].kill()
        running.wait_for("worker . ended with -9")
        load.wait_for_more()
        assert len(load.failed) <= CLIENTS
        assert load.refused == []
        load.ended.set()
        time.sleep(0.2)
        assert running.stop(signal.SIGTERM) == 0
    assert still_there(before + after) == []
    assert set(load.made) <= _rows(database_dsn), "every answer is in the database"


def test_who_comes_while_the_workers_leave_is_refused_and_never_cut_off(
    serving: Programs, database_dsn: str
) -> None:
    """Told to close their connections, clients come anew: to a queue that nobody empties?"""
    arguments = ("serve", "--workers", "2", "--gateway-port", "0")
    with serving.started(*arguments) as running, _load(_root(running, database_dsn)) as load:
        assert running.stop(signal.SIGTERM) == 0
        load.ended.set()
    assert load.failed == []
    assert set(load.made) <= _rows(database_dsn)


def test_workers_end_when_their_parent_is_killed(serving: Programs, database_dsn: str) -> None:
    with serving.started("serve", "--workers", "2", "--gateway-port", "0") as running:
        _root(running, database_dsn)
        workers = _workers(running)
        running.stop(signal.SIGKILL)
        assert still_there(workers) == []


def test_a_second_signal_ends_the_workers_at_once(
    serving: Programs, sandbox_origin: str, database_dsn: str
) -> None:
    slow = {"kind": "delay_before", "host": AIRTABLE.hosts[0], "seconds": 600, "count": 1}
    arguments = ("serve", "--workers", "2", "--gateway-port", "0", "--roles", "gateway")
    with serving.started(*arguments) as running:
        root = _root(running, database_dsn)
        requests.post(f"{sandbox_origin}/_sandbox/faults", json=slow, timeout=60)
        call = threading.Thread(target=_ask_in_vain, args=(root,))
        call.start()
        _under_way(sandbox_origin)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert running.process.poll() is None, "a call is under way"
        began = time.monotonic()
        running.stop(signal.SIGTERM)
        assert time.monotonic() - began < 40, "a drain takes a minute"
        call.join()
    requests.delete(f"{sandbox_origin}/_sandbox/faults", timeout=60)


def _under_way(sandbox_origin: str) -> None:
    """Returns once the call has reached the API, which keeps its answer back."""
    until = time.monotonic() + 60.0
    while not any(
        "delay_before" in entry["faults"]
        for entry in requests.get(f"{sandbox_origin}/_sandbox/requests", timeout=60).json()[
            "requests"
        ]
    ):
        assert time.monotonic() < until, "the call does not come"
        time.sleep(0.05)


def _ask_in_vain(root: str) -> None:
    url = f"{root}/v0/{KIT.account}/Tasks"
    with pytest.raises(requests.ConnectionError):
        requests.get(url, headers={"Authorization": f"Bearer {KIT.token}"}, timeout=60)


def test_a_single_process_that_is_restarted_under_load_answers_whatever_reached_it(
    serving: Programs, database_dsn: str
) -> None:
    port = str(free_port())
    with (
        serving.started("serve", "--gateway-port", port) as first,
        _load(_root(first, database_dsn)) as load,
    ):
        assert first.stop(signal.SIGTERM) == 0
        with serving.started("serve", "--gateway-port", port) as second:
            _root(second, database_dsn)
            load.wait_for_more()
            load.ended.set()
            time.sleep(0.3)
    assert load.failed == [], "refused is allowed only where nobody listens"
    assert set(load.made) <= _rows(database_dsn)


def test_what_a_worker_cannot_do_is_said_once_by_the_parent(serving: Programs) -> None:
    ended = serving.run("serve", "--workers", "2", "--gateway-port", "0", "--api-port", "-1")
    assert ended.code == 2
    assert re.search("api_port", ended.err)


def test_sockets_that_systemd_holds_are_taken_and_nobody_is_refused(serving: Programs) -> None:
    held = listen("127.0.0.1", 0)
    number, url = held[0].fileno(), f"http://127.0.0.1:{port_of(held)}/"
    answers: list[requests.Response] = []
    early = threading.Thread(target=lambda: answers.append(requests.get(url, timeout=60)))
    early.start()  # while nothing runs: the system holds it
    process = subprocess.Popen(
        [sys.executable, "-c", AS_SYSTEMD, str(number)],
        cwd=serving.folder,
        env=clean_environment(**serving.variables),
        pass_fds=[number],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        early.join()
        assert answers[0].json()["source"] == "proxy"
    finally:
        held[0].close()
        process.terminate()
        assert process.wait(60) == 0

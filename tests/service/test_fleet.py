"""The parent of workers: what dies is started again, what is replaced is missed by nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from httpproxy.sockets import Handed, given, handed, listen, port_of
from httpproxy.tasks import Tasks
from httpproxy.workers import fleet as fleets
from httpproxy.workers.child import when_dismissed
from httpproxy.workers.fleet import Fleet, Place, WorkersFailed, gateway_sockets

# Says that it is ready, and leaves when it is dismissed.
GOOD = "import os, sys; fd = int(sys.argv[1]); os.write(fd, b'ready'); os.read(fd, 1)"
BAD = "raise SystemExit(3)"
STUCK = "import time; time.sleep(600)"


class _Scripts:
    """What a worker does; a test changes it."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.started = 0

    def __call__(self, handed: Handed) -> list[str]:
        self.started += 1
        assert handed.parent is not None
        return [sys.executable, "-S", "-c", self.script, str(handed.parent.fileno())]


@asynccontextmanager
async def _fleet(scripts, folder, count=2):
    fleet = Fleet([Place(f"{n}", ()) for n in range(count)], scripts, folder, ())
    try:
        yield fleet
    finally:
        fleet.kill()
        await fleet.end()


def _pids(fleet: Fleet) -> list[int]:
    return [place.child.process.pid for place in fleet.places if place.child is not None]


async def _until(true) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - processes, seen from outside
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(fleets, "_BACKOFF", (0.0, 0.02))


async def test_what_does_not_start_ends_the_whole_and_says_so(tmp_path: Path):
    async with _fleet(_Scripts(BAD), tmp_path) as fleet:
        with pytest.raises(WorkersFailed, match="does not start"):
            await fleet.start()


async def test_a_worker_that_dies_is_started_again(tmp_path: Path):
    async with _fleet(_Scripts(GOOD), tmp_path) as fleet, Tasks() as tasks:
        await fleet.start()
        tasks.start(fleet.keep(), "workers")
        before = _pids(fleet)
        os.kill(before[0], signal.SIGKILL)
        await _until(lambda: fleet.places[0].serves and _pids(fleet)[0] != before[0])
        assert _pids(fleet)[1] == before[1]
        await fleet.end()
        assert not any(place.serves for place in fleet.places)


async def test_workers_that_keep_dying_end_the_whole(tmp_path: Path):
    scripts = _Scripts(GOOD)
    async with _fleet(scripts, tmp_path) as fleet:
        await fleet.start()
        scripts.script = BAD
        for pid in _pids(fleet):
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            with pytest.raises(WorkersFailed, match="no worker serves"):
                await fleet.keep()


async def test_one_that_cannot_be_replaced_stays_and_the_others_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scripts = _Scripts(GOOD)
    async with _fleet(scripts, tmp_path) as fleet, Tasks() as tasks:
        await fleet.start()
        tasks.start(fleet.keep(), "workers")
        before = _pids(fleet)
        scripts.script = BAD
        await fleet.roll()
        scripts.script = STUCK
        monkeypatch.setattr(fleets, "START_SECONDS", 0.1)
        monkeypatch.setattr(fleets, "LEAVE_SECONDS", 0.1)
        await fleet.roll()
        assert _pids(fleet) == before
        assert scripts.started == 4
        monkeypatch.setattr(fleets, "START_SECONDS", 60.0)
        scripts.script = GOOD
        await fleet.roll()
        assert not set(_pids(fleet)) & set(before)
        assert all(place.serves for place in fleet.places)
        await fleet.end()


async def test_an_end_in_the_middle_of_a_round_leaves_no_process(tmp_path: Path):
    scripts = _Scripts(GOOD)
    async with _fleet(scripts, tmp_path) as fleet, Tasks() as tasks:
        await fleet.start()
        tasks.start(fleet.keep(), "workers")
        round_ = asyncio.ensure_future(fleet.roll())
        await _until(lambda: scripts.started >= 3)
        await fleet.end()
        await round_
        assert not any(child.alive for place in fleet.places if (child := place.child))


async def test_a_worker_is_told_when_its_parent_is_gone():
    ours, theirs = socket.socketpair()
    stopped = asyncio.Event()
    with theirs:
        when_dismissed(theirs, stopped)
        await asyncio.sleep(0.02)
        assert not stopped.is_set()
        ours.close()
        async with asyncio.timeout(60):
            await stopped.wait()


def test_a_port_has_a_queue_for_each_worker_or_the_one_that_systemd_gave():
    doors = gateway_sockets("127.0.0.1", 0, 3, ())
    assert len({port_of(door) for door in doors}) == 1
    assert len({each.fileno() for door in doors for each in door}) == 3
    one = listen("127.0.0.1", 0)
    assert gateway_sockets("127.0.0.1", 0, 2, one) == [one, one]
    for each in (*one, *(each for door in doors for each in door)):
        each.close()


def test_without_queues_of_their_own_the_workers_share_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fleets, "SHARES_PORTS", False)
    first, second = gateway_sockets("127.0.0.1", 0, 2, ())
    assert first is second
    for each in first:
        each.close()


def test_sockets_of_systemd_are_found_by_their_names():
    made = [listen("127.0.0.1", 0)[0] for _ in range(3)]
    numbers = [each.detach() for each in made]
    found = given({"": [numbers[0]], "api": [numbers[1]], "web": [numbers[2]]})
    assert [len(found["gateway"]), len(found["api"])] == [2, 1]
    for each in (*found["gateway"], *found["api"]):
        each.close()


def test_what_is_handed_to_a_worker_is_spelled_and_read(tmp_path: Path):
    gateway, (ours, theirs) = listen("127.0.0.1", 0), socket.socketpair()
    copies = [each.dup() for each in (*gateway, theirs)]
    told = Handed({"gateway": (copies[0],)}, "7", tmp_path, copies[1])
    assert told.descriptors() == [each.fileno() for each in copies]
    port, read = port_of(gateway), handed(told.spelled())
    assert (read.worker, read.folder, port_of(read.sockets["gateway"])) == ("7", tmp_path, port)
    for each in copies:
        each.detach()
    for each in (*gateway, ours, theirs, *read.sockets["gateway"], read.parent):
        assert each is not None
        each.close()

"""The processes of a run: started, spoken to, measured and ended.

Everything a run starts, it ends: `Run` stops its processes in reverse order, however
the run ends; our own children end with their stdin; on Linux the kernel signals the
others if this process is killed.
"""

from __future__ import annotations

import ctypes
import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

ROOT: Final = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class Failed(RuntimeError):
    """A process of the run did not start, did not answer, or died."""


def _follow_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One process of the run. Its output goes to `log`, or here if it `talks`."""

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        talks: bool = False,
    ) -> None:
        self._log = log
        self.port = 0
        with log.open("ab") as kept:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if talks else kept,
                stderr=kept,
                cwd=ROOT,
                env=environment,
                preexec_fn=_follow_parent,  # noqa: PLW1509  the run has one thread
            )
        self._process = psutil.Process(self._popen.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ask(self, order: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Gives one of our own children an order and returns its answer."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(order).encode() + b"\n")
        self._popen.stdin.flush()
        return self.hear(timeout)

    def hear(self, timeout: float) -> dict[str, Any]:
        """The next JSON line of one of our own children."""
        assert self._popen.stdout is not None
        ready, _, _ = select.select([self._popen.stdout], [], [], timeout)
        line = self._popen.stdout.readline() if ready else b""
        if not line:
            raise Failed(f"{self._popen.args}: no word in {timeout} s; see {self._log}")
        word: dict[str, Any] = json.loads(line)
        return word

    def wait_for_port(self, port: int, timeout: float) -> None:
        """Returns when something listens on `port`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                self.port = port
                return
        raise Failed(f"{self._popen.args}: not listening on {port}; see {self._log}")

    def cpu(self) -> float:
        """Seconds of CPU that the process and its children have used."""
        family = [self._process, *self._process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)

    def memory(self) -> int:
        """Resident bytes of the process itself."""
        size: int = self._process.memory_info().rss
        return size

    def stop(self) -> None:
        """Ends the process: politely, then not."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait(10)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()


class Run:
    """A context that ends every process started in it, the last first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._started:
            self._started.pop().stop()

    def start(
        self, name: str, argv: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Process:
        """Starts a process; `name` names its log in the run's folder."""
        return self._keep(Process(argv, self.folder / f"{name}.log", environment))

    def child(self, module: str, *arguments: str) -> Process:
        """Starts one of our own children and waits until it is ready."""
        name = module.rpartition(".")[2]
        argv = [sys.executable, "-m", module, *arguments]
        process = self._keep(Process(argv, self.folder / f"{name}.log", talks=True))
        process.port = process.hear(30)["port"]
        return process

    def _keep(self, process: Process) -> Process:
        self._started.append(process)
        return process

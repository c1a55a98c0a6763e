"""The program as its users start it: real processes, in a folder of the test's own."""

from __future__ import annotations

import io
import logging
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from neighbours.logwatch import WATCH

from httpproxy.cli import root
from httpproxy.settings.reading import environment

PATIENCE = 60.0


def clean_environment(**variables: str) -> dict[str, str]:
    """This environment without our settings, plus `variables`."""
    kept = {
        name: value
        for name, value in environment().items()
        if not name.startswith("HTTPPROXY_") and name != "DATABASE_URL"
    }
    return {**kept, "PYTHONUNBUFFERED": "1", "HTTPPROXY_API_PORT": "0", **variables}


@dataclass(frozen=True)
class Ended:
    """A program that has run to its end."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


@dataclass
class Running:
    """A program that runs until it is told to stop; its output is read as it comes."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    over: bool = False  # nothing more will be said

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def hear(self, line: str) -> None:
        self.lines.append(line)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in what it has said so far, once there is one."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            over = self.over  # before the last look
            if found := re.search(pattern, self.text):
                return found
            assert not over, f"ended with {self.process.poll()}:\n{self.text}"
            time.sleep(0.02)
        raise AssertionError(f"never said {pattern!r}:\n{self.text}")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and give back the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@dataclass(frozen=True)
class Programs:
    """Starts `httpproxy` in `folder`; `variables` are in every environment."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        """Run it to its end."""
        ended = subprocess.run(
            [sys.executable, "-m", "httpproxy", *arguments],
            cwd=self.folder,
            env=clean_environment(**{**self.variables, **variables}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def done(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        """Run it to its end, which must be a good one."""
        ended = self.run(*arguments, stdin=stdin, **variables)
        assert ended.code == 0, (arguments, ended)
        return ended

    @contextmanager
    def started(self, *arguments: str, **variables: str) -> Iterator[Running]:
        """A program that is running; it does not outlive the block."""
        process = subprocess.Popen(
            [sys.executable, "-m", "httpproxy", *arguments],
            cwd=self.folder,
            env=clean_environment(**{**self.variables, **variables}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running = Running(process)
        reader = threading.Thread(target=_listen, args=(running,))
        reader.start()
        try:
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            reader.join(PATIENCE)
            if process.stdout is not None:
                process.stdout.close()


class InProcess(Programs):
    """The same, but what ends by itself runs in this process: without the second that
    starting a program takes. For what a command does and says, where the process is not
    the point; only where no event loop runs."""

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        """Run it to its end."""
        logger = logging.getLogger()
        handlers, level = list(logger.handlers), logger.level
        told = {"stdin": _text(stdin), "stdout": _text(), "stderr": _text()}
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            wanted = clean_environment(**{**self.variables, **variables})
            for name in environment().keys() - wanted.keys():
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            for name, stream in told.items():
                patch.setattr(sys, name, stream)
            try:
                with pytest.raises(SystemExit) as ended:
                    root.main(arguments)
            finally:
                logger.handlers[:] = handlers  # the program's own write to `told`
                logger.setLevel(level)
        out, err = (told[name].buffer.getvalue().decode() for name in ("stdout", "stderr"))
        WATCH.look(err, "standard error")
        assert "Traceback" not in err, err
        return Ended(int(ended.value.code or 0), out, err)


def _text(content: str = "") -> Any:
    return io.TextIOWrapper(io.BytesIO(content.encode()), "utf-8", write_through=True)


def _listen(running: Running) -> None:
    assert running.process.stdout is not None
    try:
        for line in running.process.stdout:
            running.hear(line)
    finally:
        running.over = True


def listening(pid: int) -> set[str]:
    """The addresses on which a process and its children listen."""
    parent = psutil.Process(pid)
    return {
        connection.laddr.ip
        for process in (parent, *parent.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run a moment later; what only waits to be reaped does not."""
    _, alive = psutil.wait_procs(processes, timeout=60)
    return [process for process in alive if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    """Whether it does more than wait to be reaped."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # a moment later
        return False

"""A shell in a terminal, as somebody who follows a page has it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60.0


@dataclass
class Terminal:
    """What is typed goes in, what is shown is kept."""

    process: subprocess.Popen[bytes]
    line: int
    shown: bytearray = field(default_factory=bytearray)
    read: int = 0
    over: bool = False  # nothing more will be shown

    @property
    def text(self) -> str:
        return self.shown.decode(errors="replace").replace("\r\n", "\n")

    def listen(self) -> None:
        """Keeps what is shown, until nobody holds the other end."""
        try:
            while some := os.read(self.line, 65536):
                self.shown += some
        except OSError:  # how Linux says that the other end is closed
            pass
        finally:
            self.over = True

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next match in what is shown, after the one before."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            over = self.over  # before the last look
            if found := re.compile(pattern).search(self.text, self.read):
                self.read = found.end()
                return found
            if over:
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} was not shown:\n{self.text}")

    def type(self, text: str) -> None:
        os.write(self.line, text.encode())

    def interrupt(self) -> int:
        """Ctrl-C, as the terminal sends it to all in the foreground; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)

    def end(self) -> int:
        """Waits for the end of the shell; its exit code."""
        return self.process.wait(PATIENCE)


@contextmanager
def typed(script: str, folder: Path, variables: Mapping[str, str]) -> Iterator[Terminal]:
    """A shell that runs the script and stops at the first failure."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=dict(variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    reader = threading.Thread(target=terminal.listen)
    reader.start()
    try:
        yield terminal
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)
        reader.join(PATIENCE)
        os.close(ours)

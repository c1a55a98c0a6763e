"""The real `httpproxy serve`, in children that may end themselves at a named step.

    python -m tests.faults.serving

reads orders, a JSON line each, and says what became of them:

    {"start": "A", "folder": …, "arguments": ["serve"], "point": "after send", "passage": 3,
     "constants": {"module:NAME": value}, "without": "the name of a guard"}
    {"started": "A", "pid": 4711}
    {"ended": "A", "pid": 4711, "status": -9, "fired": "after send"}

Everything is imported once, and a child is a fork: it serves a tenth of a second later. It
works in `folder`, whose httpproxy.toml has its settings, and logs to `serve.log` there.
`constants` are the product's own, changed where a run has no time for them; `without` takes
a guard away, to see that the suite misses it (removed_guards).
Children end with this process, and this process with its stdin.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from httpproxy.cli import root
from tests.faults import failpoints, removed_guards

_PR_SET_PDEATHSIG = 1
_TICK = 0.01  # seconds between looks at who has ended


@dataclass(slots=True)
class _Child:
    name: str
    last_words: int  # the reading end of a pipe


class Nursery:
    """Starts children and tells when they end."""

    def __init__(self) -> None:
        self._children: dict[int, _Child] = {}

    def run(self) -> None:
        """Until stdin ends."""
        pending = b""
        os.set_blocking(0, False)
        while True:
            ready, _, _ = select.select([0], [], [], _TICK)
            if ready:
                read = os.read(0, 65_536)
                if not read:
                    break
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    self._start(json.loads(line))
            self._reap()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _start(self, order: dict[str, Any]) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _live(order, writing)
        os.close(writing)
        self._children[pid] = _Child(order["start"], reading)
        _say({"started": order["start"], "pid": pid})

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            del self._children[pid]
            fired = os.read(child.last_words, 200).decode()
            os.close(child.last_words)
            code = os.waitstatus_to_exitcode(status)
            _say({"ended": child.name, "pid": pid, "status": code, "fired": fired})


def _live(order: dict[str, Any], last_words: int) -> NoReturn:
    """The life of a child."""
    code = 1
    try:
        _settle_in(order["folder"])
        for where, value in order["constants"].items():
            module, _, name = where.partition(":")
            assert hasattr(import_module(module), name), where
            setattr(import_module(module), name, value)
        if order["without"]:
            removed_guards.GUARDS[order["without"]]()
        if order.get("point"):
            point = failpoints.BY_NAME[order["point"]]
            word = point.name.encode()
            failpoints.arm(point, order["passage"], lambda: _write(last_words, word))
        root.main(order["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # the log is all that is left of it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _settle_in(folder: str) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir(folder)
    log = os.open("serve.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for there, here in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(there, here)
    sys.stdin = os.fdopen(0)
    print(f"--- {os.getpid()} starts", flush=True)


def _write(handle: int, word: bytes) -> None:
    os.write(handle, word)


def _say(word: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Nursery().run()

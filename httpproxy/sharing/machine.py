"""Which operating system's process this is, and which others of it still run.

A process that was killed has a row, and a lease that runs on for seconds. A process of the
same machine need not wait for that: it can see that nobody runs there. It must be certain,
for what the other held becomes its own: the same boot, the same space of process ids, and
then no process of this id, or one that began at another time.

Only Linux tells all this; elsewhere leases run out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from httpproxy.store.sharing.processes import Whereabouts

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_SPACE: Final = Path("/proc/self/ns/pid")
_ENDED: Final = "ZX"  # states: killed, and not yet waited for by its parent
_STATE, _STARTED = 0, 19  # places in /proc/PID/stat, after the name


def whereabouts(pid: int) -> Whereabouts:
    """Where a process of this machine runs."""
    try:
        machine = f"{_BOOT.read_text(encoding='ascii').strip()} {_SPACE.stat().st_ino}"
        return Whereabouts(machine, pid, int(_stat(pid)[_STARTED]))
    except (OSError, ValueError, IndexError):
        return Whereabouts(None, pid, 0)


def has_ended(at: Whereabouts) -> bool:
    """Whether a process of this machine certainly runs no more."""
    try:
        os.kill(at.pid, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except OSError:
        return False  # somebody else's: it is there
    try:
        told = _stat(at.pid)
        return told[_STATE] in _ENDED or int(told[_STARTED]) != at.started
    except (OSError, ValueError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, after its name, which may hold anything."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()

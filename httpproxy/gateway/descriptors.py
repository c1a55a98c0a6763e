"""How many connections the system lets this process have.

Each takes a file descriptor, and where these run out nothing works: no answer of an API
is read, and no commit is written. So clients get what is left when everybody else has
theirs, and the soft limit, often 1,024, is raised as far as the hard one allows.
"""

from __future__ import annotations

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

RESERVED: Final = 256  # for the database, the other doors, logs and files


def room_for(clients: int, upstream: int) -> int:
    """How many connections of clients there is room for, beside those to the APIs."""
    wanted = clients + upstream + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        allowed = wanted if soft == resource.RLIM_INFINITY else soft
    else:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (ValueError, OSError):  # macOS says "unlimited" and means 10,240
            allowed = soft
    room = max(1, min(clients, allowed - upstream - RESERVED))
    if room < clients:
        log.warning(
            "at most %d clients at once: the system allows %d open files (ulimit -n)",
            room,
            allowed,
        )
    return room

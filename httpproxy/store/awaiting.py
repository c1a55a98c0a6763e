"""A database that is not there yet: who starts services in an order of their own is not to
see the first of them end.

Waited for is a server that does not answer, or says that it is about to; whatever else it
says, to whom it opens or that there is no such database, will be no other in a minute, and
whoever connects next is told it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from httpproxy.store.database import QUERIES, connect_parameters
from httpproxy.store.errors import is_away

log = logging.getLogger(__name__)

LOOK_AGAIN: Final = 1.0  # seconds
SAY_AGAIN: Final = 5.0  # seconds between two words of the same
_PING_SECONDS: Final = 2  # of silence; mostly it is a matter of milliseconds


async def until_there(dsn: str, patience: float) -> None:
    """Returns once the database answers, once it has said no, or after so many seconds."""
    began, said, said_at, refused = time.monotonic(), "", 0.0, False
    while True:
        why = await _why_away(dsn)
        now = time.monotonic()
        if why is None:
            if said:
                log.info("the database is there, after %.0f seconds", now - began)
            return
        # It may have come up between the two questions: what it refuses, it refuses twice.
        answers = await asyncio.to_thread(_answers, dsn, why)
        left = patience - (now - began)
        if left <= 0 or (answers and refused):
            return
        refused = answers
        if answers:
            continue
        words = str(why).strip().partition("\n")[0]
        if words != said or now - said_at >= SAY_AGAIN:
            said, said_at = words, now
            log.warning("waiting for the database, for %.0f seconds at most: %s", left, words)
        await asyncio.sleep(min(LOOK_AGAIN, left))


async def _why_away(dsn: str) -> psycopg.Error | None:
    """Why the database cannot be asked now; None if it can, or never will."""
    parameters = connect_parameters(prepare=False)
    try:
        async with await AsyncConnection.connect(dsn, autocommit=True, **parameters) as asked:
            await asked.execute(QUERIES["own_process"])  # a pooler answers before its server
    except psycopg.Error as error:
        return error if is_away(error) else None
    return None


def _answers(dsn: str, why: psycopg.Error) -> bool:
    """Whether the server takes connections, be it to refuse ours. Blocks for a moment.

    What a server says to a connection that it does not take has no code in psycopg's
    exceptions; libpq's ping knows it.
    """
    if why.sqlstate is not None or isinstance(why, psycopg.errors.ConnectionTimeout):
        return False
    asked = make_conninfo(dsn, connect_timeout=_PING_SECONDS)
    return PGconn.ping(asked.encode()) in (Ping.OK, Ping.NO_ATTEMPT)

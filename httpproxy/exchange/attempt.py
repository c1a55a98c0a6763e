"""A call of the application, and what became of it.

    Call       as a door hands it in
    Attempt    as it is sent, if it changes something
    Receipt    what the database has of its answer

`forwarding` hands these on; a door shows the receipt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from httpproxy.exchange.directory.syncs import Live
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.telemetry.course import Course
from providers.http import Request
from providers.routing import Match


class Call(NamedTuple):
    """A call as a door hands it in, and how it is watched.

    verified  the token is the account's own
    caller    the mark of the API key of ours that the stored credential stands in for; None
              if the call came with a token of the API
    renew     with a stored credential: the request to send in this one's place after a 401
              of the API, for the token was replaced meanwhile; None if it was not
    origin    what its events are to say of where they come from: "proxy", "mutation" …
    """

    live: Live
    match: Match
    request: Request
    request_id: str
    verified: bool
    course: Course
    caller: bytes | None = None
    renew: Callable[[], Awaitable[Request | None]] | None = None
    origin: str = "proxy"


class Attempt(NamedTuple):
    """A call that changes something, as it is sent.

    start    the clock before its first byte leaves
    intent   None if the database was away and calls are to be forwarded all the same
    keyed    it carries an Idempotency-Key: its answer is kept
    """

    call: Call
    tables: SyncTables
    start: int
    intent: int | None
    keyed: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the answer in the database.

    outcome   applied    committed; `rows` rows were written
              deferred   it will be: the database was away, or a record is read again
              none       nothing to commit: a read, an effect, or no 2xx
              unmapped   records of collections that the sync does not cover
              replayed   the stored answer of an earlier call, committed then
    token     where in the database's log the commit stands, for `/v1/wait`; empty if
              nothing was committed
    """

    outcome: Literal["applied", "deferred", "none", "unmapped", "replayed"]
    rows: int = 0
    token: str = ""


NOTHING: Final = Receipt("none")
DEFERRED: Final = Receipt("deferred")
UNMAPPED: Final = Receipt("unmapped")
REPLAYED: Final = Receipt("replayed")

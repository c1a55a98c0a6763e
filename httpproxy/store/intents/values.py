"""Intents as values. Pure.

    Intent      a call that is about to leave: what is needed to find out what became of it
    Claim       the Idempotency-Key that it came with
    Kept        what is known of a key that somebody has claimed
    Doubt       an intent of which nobody knows what became, handed out to be looked at
    OpenIntent  an intent as people look at it

An intent's id is the number of the process that began it in the upper half, and a count
of that process in the lower: ids cost no question to the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from providers.http import Request, Response

State = Literal["in_flight", "uncertain", "answered", "applied", "unclear"]
Outcome = Literal["applied", "absent", "unclear"]

COUNT_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key and hashes of what it came with (method, target, body; token)."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Intent:
    """A WRITE or EFFECT before its first byte leaves. `start` is `Committer.clock()`.

    Of the request's headers only Content-Type and Content-Encoding are kept. `origin` is what
    the events of its commit say: "proxy", "mutation" …
    """

    sync_id: str
    request: Request
    start: int
    request_id: str
    claim: Claim | None = None
    origin: str = "proxy"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a claimed key. `age` in seconds since it was claimed.

    in_flight   its call is under way
    uncertain   its call was sent and nobody knows yet what became of it
    answered    `response` is the API's answer
    applied     no answer came, and its effect was found upstream, in `records`
    unclear     no answer came, and what became of it cannot be told
    """

    fingerprint: bytes
    state: State
    response: Response | None
    records: tuple[str, ...]
    age: float


class KeyInUse(Exception):
    """Somebody has claimed this key already; `kept` tells what is known of it."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(f"the key is in use: {kept.state}")
        self.kept = kept


@dataclass(frozen=True, slots=True)
class Doubt:
    """An uncertain intent, ours to look at for now.

    `began_at` is in seconds since 1970 by the database's clock, `looks` counts the looks
    that settled nothing, `keyed`: somebody may ask for the outcome by a key. `origin` is the
    intent's.
    """

    id: int
    sync_id: str
    request: Request
    start: int
    request_id: str
    began_at: float
    looks: int
    why: str
    keyed: bool
    origin: str = "proxy"


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """An intent for people. `age` in seconds; `due_in`: seconds until it is looked at, None
    while it is under way; `path` is the upstream's, without the query; `sync_name`
    None: the sync is gone."""

    id: int
    process: int
    sync_id: str
    sync_name: str | None
    method: str
    path: str
    state: Literal["sent", "uncertain"]
    began_at: datetime
    age: float
    looks: int
    due_in: float | None
    why: str
    request_id: str

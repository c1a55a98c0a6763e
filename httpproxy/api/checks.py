"""What can be stuck in a process, as checks of its readiness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from httpproxy.api.readiness import Check


class Available(Protocol):
    """A connection of the store that writes: it knows whether it can."""

    @property
    def available(self) -> bool: ...


class Commits(Available, Protocol):
    """`store.commits.commit.Committer`."""

    @property
    def lag(self) -> float: ...


class Embedded(Protocol):
    """`store.embedded.server.EmbeddedPostgres`."""

    @property
    def owned(self) -> bool: ...

    @property
    def pid(self) -> int | None: ...


def database(committer: Available, grace: float) -> Check:
    """The database is away, or a commit hangs in it."""
    why = "the database cannot be reached, or a commit hangs"
    return Check("database", lambda: None if committer.available else why, grace)


def commits(committer: Commits, grace: float) -> Check:
    """Commits wait, and none is made, though the database is there."""

    def probe() -> str | None:
        if committer.lag < grace:
            return None
        return f"no commit has been made for {committer.lag:.0f} s, and some wait"

    return Check("commits", probe)


def intents(writer: Available, grace: float) -> Check:
    """No intent can be written, so no write may be sent."""
    why = "intents cannot be written, so writes are not sent"
    return Check("intents", lambda: None if writer.available else why, grace)


def embedded(server: Embedded) -> Check:
    """The Postgres that this process started is gone. One that it joined is another's."""

    def probe() -> str | None:
        if not server.owned or server.pid is not None:
            return None
        return "the embedded Postgres has ended: see postgres/log in the data folder"

    return Check("embedded", probe)


def lease(trusted: Callable[[], bool]) -> Check:
    """This process was declared gone, or cannot tell: what it held is others' now."""
    why = "this process could not renew its lease: it makes no calls until it has"
    return Check("lease", lambda: None if trusted() else why)

"""What a command fails with: an exit code, what is wrong, and what to do about it.

    0  done
    1  it failed: database, API, port, or a finding of `doctor` or `sync verify`
    2  used wrongly: an option, a setting, a missing token
    3  there is no such sync, credential, OAuth app or key
    4  `schema diff --exit-code`: something is to follow, or waits

Foreign exceptions become a `Failure` in one place, `explained`; nothing is shown as a
traceback unless the log level is debug.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from httpproxy.exchange.problems import Rejected
from httpproxy.management.problems import Declined
from httpproxy.sandbox.simulators import BadState
from httpproxy.settings.reading import SettingsError
from httpproxy.store.errors import NameTaken, StoreError, Unavailable
from httpproxy.workers.fleet import WorkersFailed
from providers.spec import ListingExpired, Refused, UnknownCollection, Unrecognised

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DIFFERS: Final = 4


class Failure(Exception):
    """An end of the command that the user can do something about."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def explained(error: BaseException) -> Failure | None:
    """The failure that an exception means to the user, None if nobody foresaw it."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, BaseExceptionGroup):  # out of a task group
        return next(filter(None, map(explained, error.exceptions)), None)
    for kind, explain in _EXPLAINED.items():
        if isinstance(error, kind):
            return explain(error)
    return None


@contextmanager
def explaining_port(setting: str, host: str, port: int) -> Iterator[None]:
    """Name the setting, and the way out, if this address cannot be listened on."""
    try:
        yield
    except (OSError, BaseExceptionGroup) as error:
        found = _bind_error(error, port)
        if found is None:
            raise
        raise _port_taken(found, setting, host, port) from error


@contextmanager
def explaining_names(what: str) -> Iterator[None]:
    """Say whose name it is that is taken."""
    try:
        yield
    except NameTaken as error:
        said = f"{error.value!r} is taken by another {what}; choose another {error.field}"
        raise Failure(said, USAGE) from error


def _bind_error(error: BaseException, port: int) -> OSError | None:
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, (_bind_error(e, port) for e in error.exceptions)), None)
    # asyncio's own words; the errno alone would also fit a connection of ours.
    if isinstance(error, OSError) and f", {port}): " in str(error) and "bind" in str(error):
        return error
    return None


def _port_taken(error: OSError, setting: str, host: str, port: int) -> Failure:
    option, variable = f"--{setting.replace('_', '-')}", f"HTTPPROXY_{setting.upper()}"
    if error.errno == errno.EADDRINUSE:
        return Failure(
            f"port {port} on {host} is taken by another program. End that one, or choose"
            f" another port with {option} or {variable} (0 takes a free one)."
        )
    host_variable = variable.replace("PORT", "HOST")
    return Failure(
        f"cannot listen on {host}:{port}: {error}. Check {host_variable}, {variable}."
    )


def _name_taken(error: NameTaken) -> Failure:
    option = {"schema_name": "--schema", "external_id": "--external-id"}.get(
        error.field, "--name"
    )
    return Failure(f"{error.value!r} is taken by another sync; choose one with {option}", USAGE)


def _unknown_collection(error: UnknownCollection) -> Failure:
    there = ", ".join(error.available) or "none that this token can see"
    return Failure(f"there is no collection {error.wanted!r}; there are: {there}", USAGE)


def _unrecognised(_: Unrecognised) -> Failure:
    return Failure(
        "the API does not know this token (expired, revoked or mistyped); give a valid one"
        " in HTTPPROXY_TOKEN or on standard input"
    )


def _database(error: psycopg.Error | Unavailable) -> Failure:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return Failure(
        f"{said}\nCheck DATABASE_URL, and that Postgres runs there (`httpproxy doctor`)."
    )


# What the API's words recommend, as it is done here.
_COMMANDS: Final = {
    "GET /v1/credentials": "`httpproxy credential list`",
    "POST /v1/credentials": "`httpproxy credential create`",
    "GET /v1/oauth-apps": "`httpproxy oauth-app list`",
    "POST /v1/oauth-apps": "`httpproxy oauth-app create`",
    "GET /v1/syncs": "`httpproxy sync list`",
    "GET /v1/keys": "`httpproxy keys list`",
}
_THINGS: Final = frozenset(
    {"unknown_sync", "unknown_credential", "unknown_oauth_app", "unknown_key"}
)


def _declined(error: Declined) -> Failure:
    said = error.detail
    for request, here in _COMMANDS.items():
        said = said.replace(request, here)
    if error.code in _THINGS:
        return Failure(said, NOT_FOUND)
    return Failure(said, USAGE if error.kind.status in (400, 404) else FAILED)


def _system(error: OSError) -> Failure:
    where = f"{error.filename}: " if error.filename else ""
    return Failure(f"{where}{error.strerror or error}")


_EXPLAINED: Final[Mapping[type[BaseException], Callable[[Any], Failure]]] = {
    Declined: _declined,
    SettingsError: lambda error: Failure(str(error), USAGE),
    NameTaken: _name_taken,
    UnknownCollection: _unknown_collection,
    Unavailable: _database,
    StoreError: lambda error: Failure(str(error)),
    WorkersFailed: lambda error: Failure(str(error)),
    Unrecognised: _unrecognised,
    Refused: lambda error: Failure(f"the API refused: {error}"),
    Rejected: lambda error: Failure(error.detail),
    ListingExpired: lambda _: Failure("the API ended the listing half-way; run it again"),
    BadState: lambda error: Failure(str(error)),
    psycopg.Error: _database,
    OSError: _system,
}

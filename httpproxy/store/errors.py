"""What can go wrong in the store, and whose turn it is then.

    StoreError
    ├── Unavailable      the database is away or refuses connections: try again later
    ├── NotMigratable    the database is newer than this program, or too old a Postgres
    ├── NameTaken        the operator chose a name that another sync has
    ├── InUse            something of the user's depends on what is to be dropped
    ├── Indispensable    a column without which the house cannot tell records apart
    ├── SetAside         an image that the database refused; it is in the quarantine
    ├── Forgotten        the sync was deleted while a commit of it was on its way
    ├── Stale            another process, or the operator, has gone on meanwhile
    │   └── Fenced       … and owns by now what this one works on
    ├── SeenLost         what a listing had seen went with a crash of Postgres: list anew
    ├── Expired          events that a reader has yet to see were dropped (streams/bearings.py)
    ├── KeyMismatch      a secret cannot be opened with this key
    └── EmbeddedError    the embedded Postgres cannot be started; says what to do

psycopg's own exceptions do not leave this room: `renamed` changes them at the seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout


class StoreError(Exception):
    """Whatever this room reports."""


class Unavailable(StoreError, ConnectionError):
    """The database cannot be reached now. Nothing was lost that was not reported."""


class NotMigratable(StoreError):
    """This program and this database do not fit each other."""


class NameTaken(StoreError):
    """`field` (name, schema_name) has a `value` that is taken, reserved or too long."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} {value!r} is taken or not allowed; choose another")
        self.field, self.value = field, value


class InUse(StoreError):
    """The user's own objects (views, foreign keys) depend on what is to be dropped."""


class Indispensable(StoreError):
    """A column that cannot be deselected: a key's, or a system field's."""


class SetAside(StoreError):
    """Images that the database refused for good. They are kept in httpproxy.quarantine."""

    def __init__(self, count: int, why: str) -> None:
        super().__init__(f"{count} image(s) are in httpproxy.quarantine: {why}")
        self.count = count


class Forgotten(StoreError, LookupError):
    """The sync, or the collection, is not in the registry any more."""


class Stale(StoreError):
    """What is to be written follows from what is no longer so: read again what is."""


class Fenced(Stale):
    """Another process owns by now what this one works on: nothing of it was written."""


class SeenLost(StoreError):
    """Postgres lost what a listing had seen (it is not logged): the run is void."""


class KeyMismatch(StoreError):
    """A stored secret cannot be opened: the key is another one, or the row was changed."""


class EmbeddedError(StoreError):
    """The embedded Postgres cannot be started; the text says what to do."""


# Of class 08 (connection), 57P (shutdown), 53300 (too many connections), 25006 (a
# standby) and what libpq reports itself, without a state.
_AWAY_STATES = frozenset({"57P01", "57P02", "57P03", "53300", "25006"})
_FENCED = "HPL02"  # raised by httpproxy.require_owner


def is_away(error: psycopg.Error) -> bool:
    """Whether the error says that the database is away, rather than that it refused."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in _AWAY_STATES or state.startswith("08")


@contextmanager
def renamed() -> Iterator[None]:
    """Turns psycopg's connection errors into Unavailable, and the word of a fence into
    Fenced."""
    try:
        yield
    except (PoolTimeout, PoolClosed) as error:
        raise Unavailable("no connection to the database could be had") from error
    except psycopg.Error as error:
        if is_away(error):
            raise Unavailable(f"the database is away: {error}") from error
        if error.sqlstate == _FENCED:
            raise Fenced(error.diag.message_primary) from error
        raise

"""What a database error means for a commit: a table of SQLSTATEs. Pure but for its types.

AWAY     the database cannot be reached: reconnect, try everything again
BUSY     somebody holds a lock, or there is no room: try this commit again, soon
LAYOUT   the table is not as we know it: read its layout again, or repair it
VALUE    a value that its column cannot hold: set it aside, keep the rest
REFUSED  the user's own rules (a constraint, a trigger, a privilege): quarantine
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

import psycopg

from httpproxy.store.errors import is_away


class DatabaseTrouble(Enum):
    """See the module."""

    AWAY = auto()
    BUSY = auto()
    LAYOUT = auto()
    VALUE = auto()
    REFUSED = auto()


# The longest prefix of the SQLSTATE counts.
_STATES: Final[Mapping[str, DatabaseTrouble]] = {
    "HPL01": DatabaseTrouble.LAYOUT,  # require_layout of migration 0001
    "42703": DatabaseTrouble.LAYOUT,  # undefined column
    "42P01": DatabaseTrouble.LAYOUT,  # undefined table
    "42P10": DatabaseTrouble.LAYOUT,  # the primary key is gone
    "42804": DatabaseTrouble.LAYOUT,  # a column has another type
    "3F000": DatabaseTrouble.LAYOUT,  # undefined schema
    "0A000": DatabaseTrouble.LAYOUT,  # a prepared statement of a table that changed
    "22": DatabaseTrouble.VALUE,  # data exception
    "54001": DatabaseTrouble.VALUE,  # nested too deep
    "55P03": DatabaseTrouble.BUSY,  # lock not available
    "57014": DatabaseTrouble.BUSY,  # cancelled, by a timeout or by hand
    "40": DatabaseTrouble.BUSY,  # deadlock, serialization
    "53": DatabaseTrouble.BUSY,  # disk full, out of memory
}


def trouble_of(error: Exception) -> DatabaseTrouble:
    """What the error of a commit means."""
    if not isinstance(error, psycopg.Error):
        return DatabaseTrouble.VALUE  # it could not even be encoded
    if is_away(error):
        return DatabaseTrouble.AWAY
    state = error.sqlstate or ""
    for length in (5, 2):
        found = _STATES.get(state[:length])
        if found is not None:
            return found
    return DatabaseTrouble.REFUSED

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


class Trouble(Enum):
    """See the module."""

    AWAY = auto()
    BUSY = auto()
    LAYOUT = auto()
    VALUE = auto()
    REFUSED = auto()


# The longest prefix of the SQLSTATE counts.
_STATES: Final[Mapping[str, Trouble]] = {
    "HPL01": Trouble.LAYOUT,  # require_layout of migration 0001
    "42703": Trouble.LAYOUT,  # undefined column
    "42P01": Trouble.LAYOUT,  # undefined table
    "42P10": Trouble.LAYOUT,  # the primary key is gone
    "42804": Trouble.LAYOUT,  # a column has another type
    "3F000": Trouble.LAYOUT,  # undefined schema
    "0A000": Trouble.LAYOUT,  # a prepared statement of a table that changed
    "22": Trouble.VALUE,  # data exception
    "54001": Trouble.VALUE,  # nested too deep
    "55P03": Trouble.BUSY,  # lock not available
    "57014": Trouble.BUSY,  # cancelled, by a timeout or by hand
    "40": Trouble.BUSY,  # deadlock, serialization
    "53": Trouble.BUSY,  # disk full, out of memory
}


def trouble_of(error: Exception) -> Trouble:
    """What the error of a commit means."""
    if not isinstance(error, psycopg.Error):
        return Trouble.VALUE  # it could not even be encoded
    if is_away(error):
        return Trouble.AWAY
    state = error.sqlstate or ""
    for length in (5, 2):
        found = _STATES.get(state[:length])
        if found is not None:
            return found
    return Trouble.REFUSED

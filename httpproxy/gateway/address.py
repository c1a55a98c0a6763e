"""From a raw request target to (unique id, upstream host, upstream target).

    /{unique-id}/{host}/{rest}    https:// before the host is tolerated

The target is split on "/" as it came (`exchange.messages.targets` says what it may hold), and
the host is never concatenated into an address (`api.hubapi.com.evil.com` and `@evil.com`
would be).
"""

from __future__ import annotations

from typing import NamedTuple

from httpproxy.exchange.messages.targets import checked
from httpproxy.exchange.problems import Rejected


class Address(NamedTuple):
    """Where a call goes. `target` is the raw path and query for the upstream."""

    unique_id: str
    host: str
    target: str
    path: str


def parse(target: str, max_length: int) -> Address:
    """The address that a raw target names. Raises Rejected (400, 404, 414)."""
    path, mark, query = checked(target, max_length)
    unique_id, _, rest = path[1:].partition("/")
    host, slash, path = rest.removeprefix("https://").partition("/")
    if not unique_id or not slash:
        raise Rejected(
            "unknown_address",
            "Prepend the sync's API root to the API's URL:"
            " /{unique-id}/{api-host}/{path}. `httpproxy sync show` prints it.",
        )
    path = "/" + path
    return Address(unique_id, host, path + mark + query, path)

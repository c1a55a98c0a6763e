"""Accounts whose rate nobody set: by default an API's own, which a test would wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from httpproxy.exchange.directory.allotment import Allotment
from providers.spec import Budget

AT_ONCE = 1_000_000


@contextmanager
def unhurried() -> Iterator[None]:
    """Calls that belong to no sync, of accounts whose rate nobody set, leave at once in this
    process: for tests of what is said, not of when."""
    own = Allotment._default

    def default(allotment: Allotment, budget: str) -> Budget:
        rate = own(allotment, budget)
        if not allotment.owner.startswith("before "):
            return rate
        return replace(rate, allowed_requests=AT_ONCE, interval=1.0)

    with patch.object(Allotment, "_default", default):
        yield

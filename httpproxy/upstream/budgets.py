"""One budget in place of several. Pure.

A lane keeps one budget; what is allotted to it may be many: each sync of an account has
its own ceiling, and the API states another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from math import ceil

from providers.spec import Budget


def strictest(budgets: Iterable[Budget]) -> Budget:
    """One budget that keeps all of them, with as many requests as that allows."""
    return reduce(_both, budgets)


def _both(one: Budget, other: Budget) -> Budget:
    """A budget that keeps two.

    N per T allow at most kN in k windows of T. So of two budgets with different
    intervals either the shorter one is kept in every window of the longer one, with
    fewer requests if need be, or the longer one takes the shorter one's number.
    """
    short, long = sorted((one, other), key=lambda b: (b.interval, b.allowed_requests))
    windows = ceil(long.interval / short.interval)
    fitting = min(short.allowed_requests, long.allowed_requests // windows)
    fewer = min(short.allowed_requests, long.allowed_requests)
    shorter = fitting / short.interval > fewer / long.interval
    caps = [b.max_concurrent_requests for b in (one, other) if b.max_concurrent_requests]
    return replace(
        one,
        allowed_requests=fitting if shorter else fewer,
        interval=short.interval if shorter else long.interval,
        max_concurrent_requests=min(caps, default=0),
    )

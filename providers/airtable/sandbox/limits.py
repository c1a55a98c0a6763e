"""Requests per second, per base and per user, and the quota of the month.

Over the limit Airtable answers 429 and keeps doing so for half a minute.
"""

from __future__ import annotations

from providers.airtable.sandbox.call import Call, Volatile
from providers.airtable.sandbox.errors import quota_spent, rate_limited


def spend(call: Call) -> None:
    """Counts the call against every limit that holds for it. Raises Refusal."""
    switches = call.switches
    base = call.variables.get("base")
    for key, rate in (
        (f"base:{base}" if base else "", switches.base_rate),
        (f"user:{call.token.user}", switches.token_rate),
    ):
        if key and rate:
            limit = (rate, switches.rate_interval, switches.penalty)
            count(call.volatile, key, limit, call.now)
    if switches.monthly_calls is not None and base and not _is_metadata(call):
        call.volatile.calls += 1
        if call.volatile.calls > switches.monthly_calls:
            raise quota_spent()


def count(volatile: Volatile, key: str, limit: tuple[int, float, float], now: float) -> None:
    """Counts a request; `limit` is (requests, interval, penalty). Raises Refusal."""
    requests, interval, penalty = limit
    if now < volatile.silent_until.get(key, 0.0):
        raise rate_limited()
    recent = [at for at in volatile.recent.get(key, ()) if at > now - interval]
    volatile.recent[key] = recent
    if len(recent) >= requests:
        volatile.silent_until[key] = now + penalty
        raise rate_limited()
    recent.append(now)


def _is_metadata(call: Call) -> bool:
    return call.request.path.lstrip("/").startswith("v0/meta/")

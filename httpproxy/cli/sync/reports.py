"""The health of syncs as the command line shows it: lines for people, data for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from httpproxy.cli.output import as_table
from httpproxy.cli.wording import (
    ago,
    alike,
    doing,
    duration,
    named,
    requests,
    rows,
    truth,
    waiting,
    wrong,
)
from httpproxy.sync.health import Health, overall

_COLUMNS = ("table", "phase", "rows", "lag", "last success", "waiting", "requests", "truth")


def as_data(collections: Sequence[Health]) -> dict[str, Any]:
    """The members that a sync's JSON has for its health."""
    return {
        "phase": overall(collections).value,
        "collections": [_collection(each) for each in collections],
    }


def _collection(health: Health) -> dict[str, Any]:
    """One collection: moments are ISO 8601 in UTC, durations seconds."""
    return {
        "name": health.name,
        "id": health.id,
        "table": health.table,
        "phase": health.phase.value,
        "run": {
            "records": health.records,
            "share": health.share,
            "thorough": health.thorough,
        },
        "rows": health.rows,
        "followed": health.followed,
        "lag": health.lag,
        "succeeded_at": _moment(health.succeeded),
        "marks": health.marks,
        "whole": health.whole,
        "since": _moment(health.since),
        "error": health.error or None,
        "remedy": health.remedy or None,
        "failures": health.failures,
        "requests": dict(health.requests),
        "truth": {"checked": health.checked, "drifted": health.drifted},
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def totals(collections: Sequence[Health]) -> tuple[str, str, str]:
    """A sync's line in the list: phase, rows, the longest lag of what feeds tell of."""
    total = sum(each.rows for each in collections)
    lags = [each.lag for each in collections if each.followed and each.lag is not None]
    return overall(collections).value, f"{total:,}", duration(max(lags, default=None))


def tell(collections: Sequence[Health], now: float) -> None:
    """Every collection in a line, then what is wrong."""
    as_table(_COLUMNS, [_line(each, now) for each in collections])
    for line in wrongs(collections, now):
        click.echo(line)


def _line(health: Health, now: float) -> tuple[str, ...]:
    return (
        health.table,
        doing(health),
        rows(health.rows),
        duration(health.lag),
        ago(health.succeeded, now),
        waiting(health),
        requests(health.requests),
        truth(health),
    )


def wrongs(collections: Sequence[Health], now: float) -> Iterator[str]:
    """What is wrong with which collections, and what to do, a line for each."""
    for together in alike(collections):
        yield f"{named(together)}: {wrong(together, now)}"
        if together[0].remedy:
            yield f"  -> {together[0].remedy}"

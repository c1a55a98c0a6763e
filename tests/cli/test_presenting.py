"""What `serve` says of itself is no condition for serving."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from httpproxy.cli.serving import _present
from httpproxy.store.errors import Unavailable


async def test_a_database_that_goes_away_when_serving_begins_does_not_end_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def syncs() -> list[object]:
        raise Unavailable("the database is away: connection refused")

    office = SimpleNamespace(registry=SimpleNamespace(syncs=syncs))
    await _present(office, "http://127.0.0.1:8080", None)
    said = capsys.readouterr()
    assert "gateway on http://127.0.0.1:8080" in said.out
    assert "cannot be listed now: the database is away" in said.err

"""`httpproxy db epoch`: what an operator says after a restore."""

from __future__ import annotations

from pathlib import Path

import psycopg
from programs import Programs


def test_the_operator_says_that_the_database_was_restored(
    database_dsn: str, tmp_path: Path
) -> None:
    programs = Programs(tmp_path, {"DATABASE_URL": database_dsn})
    assert "epoch 2 begins" in programs.done("db", "epoch").out
    with psycopg.connect(database_dsn) as connection:
        row = connection.execute("SELECT value, followed FROM httpproxy.epoch").fetchone()
    assert row == (2, 2)

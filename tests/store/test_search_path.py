"""No statement of ours calls a function by a name that a neighbour's could answer to."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

STORE = Path(__file__).parents[2] / "httpproxy" / "store"
# Of those that take any type, a function of the exact type, in any schema of the path, is
# preferred to Postgres' own. `min` and `max` have exact forms for what we give them.
TAKING_ANY = """
SELECT DISTINCT p.proname FROM pg_proc p,
    unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) a
    JOIN pg_type t ON t.oid = a
WHERE p.pronamespace = 'pg_catalog'::regnamespace
    AND t.typtype = 'p' AND t.typname LIKE 'any%'
"""
EXACT = {"min", "max", "lower", "upper", "lead", "lag"}


def test_functions_that_take_any_type_are_called_by_their_full_names(
    database_dsn: str,
) -> None:
    with psycopg.connect(database_dsn) as connection:
        risky = {row[0] for row in connection.execute(TAKING_ANY)} - EXACT
    assert {"to_jsonb", "unnest", "count"} <= risky
    found = []
    for file in [*STORE.rglob("*.sql"), STORE / "layouts" / "statements.py"]:
        if file.parent.name == "migrations":  # their functions have a path of their own
            continue
        text = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
        # With several arguments, unnest is no function but syntax: nobody else's can be meant.
        text = re.sub(r"\bunnest\((?:[^()]|\([^()]*\))*,", "", text)
        calls = re.findall(r"(?<![\w.])(\w+)\((?!\*)", text)
        found += [(file.name, name) for name in calls if name in risky]
    assert found == []

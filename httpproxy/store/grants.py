"""The SQL that gives a role exactly what httpproxy needs in somebody else's database.

It connects, makes the schema `httpproxy` and a schema for each sync, and owns what it
made: it can neither read nor change anything else. Readers read the syncs' tables alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg.sql import SQL, Identifier, Literal

from httpproxy.store.queries import load

_SQL: Final = load("grants.sql")


def grants(role: str, readers: str | None = None, schemas: Sequence[str] = ()) -> str:
    """Statements for psql. `schemas` are the owner's own, for syncs to keep tables in."""
    parts = {"role": Identifier(role), "role_name": Literal(role)}
    said = [SQL(_SQL["writer"]).format(**parts)]
    said += [
        SQL(_SQL["schema"]).format(**parts, schema=Identifier(schema)) for schema in schemas
    ]
    if readers is not None:
        reading = {"readers": Identifier(readers), "readers_name": Literal(readers)}
        said.append(SQL(_SQL["readers"]).format(**parts, **reading))
    said.append(SQL(_SQL["public"]).format())
    return "".join(f"{statements.as_string(None)};\n\n" for statements in said).rstrip() + "\n"

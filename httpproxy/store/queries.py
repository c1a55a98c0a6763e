"""SQL by name, out of .sql files.

A file holds statements, each opened by a line `-- name: some_name` and one or more
comment lines that say what it is for. Parameters are psycopg's `%(name)s`. In files
of templates, `{name}` stands for identifiers that `statements` composes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, LiteralString

_OPENING: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(file_name: str) -> Mapping[str, LiteralString]:
    """The statements of one .sql file of this package, by name."""
    text = files(__package__).joinpath(file_name).read_text(encoding="utf-8")
    _, *parts = _OPENING.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file_name} names a statement twice")
    # Ours, from a file of this package: as literal as if it stood in the source.
    return {name: _body(body) for name, body in zip(names, bodies, strict=True)}


def _body(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")

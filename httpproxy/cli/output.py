"""Text for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click
import orjson

json_option = click.option("--json", "wants_json", is_flag=True, help="JSON, for scripts.")


def as_json(value: Any) -> None:
    """One JSON document on standard output; what JSON lacks (dates, decimals) is text."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2))


def as_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on standard output, its columns as wide as what is in them."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))
    ]
    for line in (columns, ["-" * width for width in widths], *cells):
        row = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(row.rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    return str(value).replace("\n", "\\n")

"""Values that the user's columns refuse, moved to `_extra`.

A column may have been given another type by its user, and a number may be larger than
Postgres holds: the commit and the comparison both set such a value aside, and so agree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from httpproxy.store.layouts.tables import GONE, Table, row_of
from providers.record import Image

Takes = Callable[[Table, dict[str, Any]], Awaitable[bool]]  # whether columns take values


async def set_aside(takes: Takes, table: Table, image: Image) -> tuple[Image, int]:
    """The image as the table takes it, and how many values that meant to set aside."""
    if image.kind in GONE:
        return image, 0
    row = row_of(table, image, sorted_out=True)["v"]
    if not isinstance(row, dict) or await takes(table, row):
        return image, 0
    values, extra, count = dict(image.values), dict(image.extra), 0
    for column in table.columns:
        name, field = column.name, column.field
        if name in row and not await takes(table, {name: row[name]}):
            values[field.id] = None
            extra[field.name] = row[name]
            count += 1
    return replace(image, values=values, extra=extra), count

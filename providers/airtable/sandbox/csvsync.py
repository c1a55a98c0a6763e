"""The sync endpoint: CSV rows into a table, merged by its primary field."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Final

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.cells import Writer
from providers.airtable.sandbox.edits import Edits
from providers.airtable.sandbox.errors import invalid, too_large
from providers.airtable.sandbox.limits import count
from providers.airtable.sandbox.payloads import publish
from providers.record import JSON

LARGEST: Final = 2 * 1024 * 1024
MOST_ROWS: Final = 10_000
MOST_COLUMNS: Final = 500
REQUESTS: Final = 20
INTERVAL: Final = 300.0


def post(call: Call) -> JSON:
    """text/csv, the first line names the fields. The answer says only that it went well."""
    if len(call.request.body) > LARGEST:
        raise too_large()
    count(call.volatile, f"csv:{call.base.id}", (REQUESTS, INTERVAL, 0.0), call.now)
    header, *rows = _rows(call.request.body)
    table = call.table
    writer = Writer(call, table, typecast=True)
    accepted = [writer.cells(dict(zip(header, row, strict=False))) for row in rows]
    edits = Edits(call)
    writer.apply_options()
    for linked, record_id, primary in writer.plan.rows:
        edits.create(linked, {linked.primary: primary}, record_id)
    known = {
        key: record
        for record in table.records.values()
        if isinstance(key := record.cells.get(table.primary), str | int | float)
    }
    for cells in accepted:
        key = cells.get(table.primary)
        record = known.get(key) if isinstance(key, str | int | float) else None
        if record is None:
            edits.create(table, cells)
        else:
            edits.update(table, record, cells)
    publish(edits)
    return {"success": True}


def _rows(body: bytes) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(StringIO(body.decode()), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise invalid("The body is not CSV") from error
    if not rows or len(rows) - 1 > MOST_ROWS or len(rows[0]) > MOST_COLUMNS:
        raise invalid()
    return rows

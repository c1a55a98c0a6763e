"""Uploading an attachment: `content.airtable.com`, no table in the path.

The answer shows the one field, by its id, with all the attachments of the cell.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.cells import attachment
from providers.airtable.sandbox.edits import Edits
from providers.airtable.sandbox.errors import bad_value, invalid, too_large, unknown_field
from providers.airtable.sandbox.payloads import publish
from providers.airtable.sandbox.records import view_of
from providers.record import JSON

LARGEST: Final = 5 * 1024 * 1024


def upload(call: Call) -> JSON:
    """Adds one file to a cell of attachments. Raises Refusal."""
    record_id = call.variables["record"]
    table = next((t for t in call.base.tables.values() if record_id in t.records), None)
    if table is None:
        raise call.missing()
    field = table.find_field(call.variables["field"])
    if field is None:
        raise unknown_field(call.variables["field"])
    if field.type != "multipleAttachments":
        raise bad_value(field.name, "an attachment")
    record = table.records[record_id]
    name, media, content = _file(call.asked)
    url = f"https://v5.airtableusercontent.com/{record_id}/{name}"
    stored = record.cells.get(field.id)
    made = attachment(call, url, name, len(content), media)
    edits = Edits(call)
    kept = stored if isinstance(stored, list) else []
    edits.update(table, record, {field.id: [*kept, made]})
    publish(edits)
    return {**view_of(call).record(table, record, by_id=True, only=(field.id,))}


def _file(asked: dict[str, JSON]) -> tuple[str, str, bytes]:
    name, media, encoded = (asked.get(key) for key in ("filename", "contentType", "file"))
    if not (isinstance(name, str) and isinstance(media, str) and isinstance(encoded, str)):
        raise invalid()
    try:
        content = b64decode("".join(encoded.split()), validate=True)  # clients break the lines
    except (binascii.Error, ValueError) as error:
        raise invalid("The file is not base64") from error
    if len(content) > LARGEST:
        raise too_large()
    return name, media, content

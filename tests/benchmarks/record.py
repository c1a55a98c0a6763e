"""The record that every benchmark moves: about 1 KB of JSON in twenty typed cells.

One table, `Tasks`, in one base. The stub upstream describes it the way the API's
metadata endpoint does, so the sync under test is made by real discovery.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

BASE: Final = "appBenchmarks0001"
TABLE: Final = "Tasks"
TABLE_ID: Final = "tblBenchmarks0001"
TOKEN: Final = "patBenchmarks.0001"
HOST: Final = "api.airtable.com"

Call = Callable[[str], bytes]  # a prefix -> the bytes of a request under it

_LINK: Final = {
    "linkedTableId": "tblElsewhere00001",  # a table that the sync does not cover
    "isReversed": False,
    "prefersSingleRecordLink": False,
}
_DATE_TIME: Final = {
    "dateFormat": {"name": "iso", "format": "YYYY-MM-DD"},
    "timeFormat": {"name": "24hour", "format": "HH:mm"},
    "timeZone": "utc",
}

# name, Airtable field type, options, value
CELLS: Final = (
    ("Name", "singleLineText", None, "Replace the gasket of pump 7"),
    (
        "Notes",
        "multilineText",
        None,
        "Torque 40 Nm.\nCheck again after the first full day. " * 3,
    ),
    ("Email", "email", None, "maria.fernandez@example.com"),
    ("Website", "url", None, "https://parts.example.com/gaskets/7?size=40"),
    ("Phone", "phoneNumber", None, "+49 30 901820"),
    ("Quantity", "number", {"precision": 0}, 12),
    ("Price", "currency", {"precision": 2, "symbol": "€"}, 34.75),
    ("Done", "percent", {"precision": 1}, 0.625),
    ("Effort", "duration", {"durationFormat": "h:mm"}, 5400),
    ("Rating", "rating", {"icon": "star", "max": 5, "color": "yellowBright"}, 4),
    ("Urgent", "checkbox", {"icon": "check", "color": "redBright"}, True),
    ("Due", "date", {"dateFormat": {"name": "iso", "format": "YYYY-MM-DD"}}, "2026-11-30"),
    ("Starts", "dateTime", _DATE_TIME, "2026-11-23T07:30:00.000Z"),
    ("Ends", "dateTime", _DATE_TIME, "2026-11-23T09:00:00.000Z"),
    (
        "Status",
        "singleSelect",
        {"choices": [{"id": "sel1", "name": "In progress"}]},
        "In progress",
    ),
    (
        "Tags",
        "multipleSelects",
        {"choices": [{"id": "sel2", "name": "pump"}, {"id": "sel3", "name": "hall 2"}]},
        ["pump", "hall 2"],
    ),
    ("Blocks", "multipleRecordLinks", _LINK, ["recBenchmarks0007", "recBenchmarks0008"]),
    (
        "Owner",
        "singleCollaborator",
        None,
        {"id": "usrBenchmarks0001", "email": "maria@example.com", "name": "Maria Fernandez"},
    ),
    ("Code", "barcode", None, {"type": "ean13", "text": "4006381333931"}),
    ("Remark", "richText", None, "**Spare** in store room 3"),
)

FIELDS: Final = {name: value for name, _, _, value in CELLS}
FIELD_IDS: Final = {f"fldBenchmark{at:05}": name for at, (name, *_) in enumerate(CELLS)}

METADATA: Final = {
    "tables": [
        {
            "id": TABLE_ID,
            "name": TABLE,
            "primaryFieldId": "fldBenchmark00000",
            "fields": [
                {
                    "id": field_id,
                    "name": name,
                    "type": kind,
                    **({} if options is None else {"options": options}),
                }
                for field_id, (name, kind, options, _) in zip(FIELD_IDS, CELLS, strict=True)
            ],
            "views": [{"id": "viwBenchmarks0001", "name": "Grid view", "type": "grid"}],
        }
    ]
}


def encoded(value: object) -> bytes:
    """Compact JSON in UTF-8, as the API spells it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


CREATE: Final = encoded({"fields": FIELDS, "typecast": False, "returnFieldsByFieldId": False})


PAGE: Final = 100  # records of a page, as the API hands them out


def page(number: int) -> bytes:
    """One page of a listing, cells keyed by field id; every page has records of its own."""
    ids = {name: field_id for field_id, name in FIELD_IDS.items()}
    cells = {ids[name]: value for name, value in FIELDS.items()}
    records = [
        {
            "id": f"rec{n:014}",
            "createdTime": "2026-11-20T07:00:00.000Z",
            "fields": {**cells, ids["Name"]: f"Task {n}", ids["Quantity"]: n},
        }
        for n in range(number * PAGE, (number + 1) * PAGE)
    ]
    return encoded({"records": records, "offset": f"itrBenchmarks0001/{number + 1}"})


def call(method: str, path: str, body: bytes = b"", *, prefix: str = "") -> bytes:
    """The bytes of one HTTP/1.1 request with the headers that pyairtable sends."""
    length = (
        f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n" if body else ""
    )
    return (
        f"{method} {prefix}{path} HTTP/1.1\r\n"
        f"Host: {HOST}\r\n"
        "User-Agent: python-requests/2.34.2 pyairtable/3.5.0\r\n"
        "Accept-Encoding: gzip, deflate\r\n"
        "Accept: */*\r\n"
        "Connection: keep-alive\r\n"
        f"Authorization: Bearer {TOKEN}\r\n"
        f"{length}\r\n"
    ).encode() + body


def read_call(prefix: str = "", *, base: str = BASE) -> bytes:
    """GET of one record."""
    return call("GET", f"/v0/{base}/{TABLE}/recBenchmarks0001", prefix=prefix)


def listing_call(prefix: str = "") -> bytes:
    """A POST that changes nothing: bytes in and out as in `create_call`, no commit."""
    return call("POST", f"/v0/{BASE}/{TABLE}/listRecords", CREATE, prefix=prefix)


def create_call(prefix: str = "") -> bytes:
    """A create. The stub gives each answer a record id of its own."""
    return call("POST", f"/v0/{BASE}/{TABLE}", CREATE, prefix=prefix)

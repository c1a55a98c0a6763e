"""The APIs of a run: the sandboxes, in a process of their own that nobody kills.

Every change of a record gets a version number, which is written into a field of the
record. What arrives, what is changed and what is answered is written to a file, line by
line, before the caller hears of it:

    {"got": 7, "op": "o12", "head": …, "body": …}       a request, when it is there
    {"made": 31, "op": "o12", "place": […], "at": …, "values": {…} | null}
    {"said": 7, "status": 200, "answer": …}             its answer

    python -m tests.faults.authority FILE SEED          says its port, ends with its stdin

Answers take their time, most of them some milliseconds, a few so long that the caller is
gone before the call is done; and a few calls are done without a word, or with a wrong one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from httpproxy.sandbox.answer import Answer, Dropped
from httpproxy.sandbox.faults import Plan
from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from providers.airtable.sandbox.edits import Edits
from providers.catalog import PROVIDERS
from providers.http import Request, Response, headers
from providers.hubspot.sandbox import records
from tests.benchmarks.child import announce, run

OPERATION: Final = "X-Operation"
VERSION: Final = {"airtable": "Version", "hubspot": "version"}
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "airtable": {"Name": "name", "Note": "note", "Key": "key", "Version": "version"},
    "hubspot": {n: n for n in ("email", "firstname", "lastname", "version")},
}
TABLE: Final = "Faults"
FIELDS: Final[list[dict[str, Any]]] = [
    {"name": "Name", "type": "singleLineText"},
    {"name": "Note", "type": "singleLineText"},
    {"name": "Key", "type": "singleLineText"},
    {"name": "Version", "type": "number", "options": {"precision": 0}},
]
PROPERTY: Final = {
    "name": "version",
    "label": "version",
    "type": "number",
    "fieldType": "number",
    "groupName": "contactinformation",
}
_UNLIMITED: Final[dict[str, Any]] = {
    "airtable": {"base_rate": 0, "token_rate": 0},
    "hubspot": {"requests_per_ten_seconds": 1_000_000, "searches_per_second": 1_000_000},
}
_USUAL: Final = 0.008  # seconds that a call takes in the mean, before and after it is done
_LONG: Final = 1.5  # and that one in two hundred takes before it is done
_UNTOLD: Final = 0.03  # of the load's calls are done, and nobody is told: no answer, or a 500
_FAILED: Final = Response(500, headers(("Content-Type", "text/plain")), b"out of order")


def fingerprint(*parts: str | bytes) -> str:
    """Tells two texts apart, in a few characters."""
    whole = b"\0".join(p.encode() if isinstance(p, str) else p for p in parts)
    return sha256(whole).hexdigest()[:16]


class Chronicle:
    """Numbers requests and changes, and writes them down."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8", buffering=1)
        self._requests = self._versions = 0
        self.operation = ""

    def got(self, request: Request) -> int:
        """A request is there; returns its number."""
        self._requests += 1
        head = fingerprint(request.method, request.host, request.target)
        operation = request.headers.get(OPERATION, "")
        body = fingerprint(request.body)
        self._write({"got": self._requests, "op": operation, "head": head, "body": body})
        return self._requests

    def said(self, number: int, response: Response) -> None:
        answer = fingerprint(response.body)
        self._write({"said": number, "status": response.status, "answer": answer})

    def next_version(self) -> int:
        self._versions += 1
        return self._versions

    def made(
        self, place: tuple[str, str], version: int, cells: Mapping[str, Any] | None
    ) -> None:
        """A record has become this version."""
        columns = COLUMNS[place[0]]
        values = None
        if cells is not None:
            values = {column: cells.get(name) for name, column in columns.items()}
            values["version"] = version
        change = {"made": version, "op": self.operation, "place": place, "values": values}
        self._write({**change, "at": time.monotonic()})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")


def number_airtable(chronicle: Chronicle) -> None:
    """Has every change of a record in the run's table numbered."""
    update, delete = Edits.update, Edits.delete

    def numbered(edits: Edits, table: Any, record: Any, cells: dict[str, Any]) -> None:
        field = table.find_field(VERSION["airtable"])
        if field is None:
            update(edits, table, record, cells)
            return
        version = chronicle.next_version()
        update(edits, table, record, {**cells, field.id: version})
        named = {f.name: record.cells.get(f.id) for f in table.fields.values()}
        chronicle.made(("airtable", record.id), version, named)

    def ended(edits: Edits, table: Any, record: Any) -> None:
        delete(edits, table, record)
        if table.find_field(VERSION["airtable"]) is not None:
            chronicle.made(("airtable", record.id), chronicle.next_version(), None)

    Edits.update, Edits.delete = numbered, ended  # type: ignore[method-assign]


def number_hubspot(chronicle: Chronicle, main_portal: int) -> None:
    """Has every change of a contact of the main portal numbered."""
    write, archive = records._write, records.archive

    def is_ours(call: Any, kind: Any) -> bool:
        return kind.id == "0-1" and call.portal.id == main_portal

    def numbered(call: Any, kind: Any, record: Any, values: Any, *, new: bool = False) -> None:
        if not is_ours(call, kind) or "version" not in kind.properties:
            write(call, kind, record, values, new=new)
            return
        version = chronicle.next_version()
        write(call, kind, record, {**values, "version": str(version)}, new=new)
        chronicle.made(("hubspot", record.id), version, record.properties)

    def ended(call: Any, kind: Any, record: Any) -> None:
        was_there = record.archived is None
        archive(call, kind, record)
        if was_there and is_ours(call, kind):
            chronicle.made(("hubspot", record.id), chronicle.next_version(), None)

    records._write, records.archive = numbered, ended


class Watched(Simulators):
    """The simulators, each call under the name of its operation."""

    def __init__(self, chronicle: Chronicle) -> None:
        super().__init__(PROVIDERS.values())
        self._chronicle = chronicle

    def handle(self, request: Request, now: float) -> Response:
        self._chronicle.operation = request.headers.get(OPERATION, "")
        return super().handle(request, now)


class Authority(SandboxServer):
    """Serves them; a request is written down when it is there, an answer when it leaves."""

    def __init__(self, simulators: Simulators, chronicle: Chronicle, seed: int) -> None:
        super().__init__(simulators, "127.0.0.1", 0)
        self._chronicle, self._dice = chronicle, random.Random(seed)

    async def _carry(self, call: Request, now: float, date: str) -> web.StreamResponse:
        number = self._chronicle.got(call)
        await asyncio.sleep(self._before())
        answer = await super()._carry(call, now, date)
        await asyncio.sleep(self._dice.expovariate(1 / _USUAL))
        chance = self._dice.random() if call.headers.get(OPERATION) else 1.0
        if chance < _UNTOLD / 2:
            return Dropped()
        if chance < _UNTOLD:
            answer = Answer(_FAILED, Plan({}), date)
        if isinstance(answer, Answer):
            said = Response(answer.status, call.headers, answer._content)
            self._chronicle.said(number, said)
        return answer

    def _before(self) -> float:
        if self._dice.random() < 0.005:
            return _LONG
        return self._dice.expovariate(1 / _USUAL)


def prepared(simulators: Simulators) -> None:
    """The table and the property that the load writes to."""
    simulators.switch(_UNLIMITED)
    airtable, hubspot = PROVIDERS["airtable"], PROVIDERS["hubspot"]
    path = f"/v0/meta/bases/{airtable.sandbox.account}/tables"
    _post(simulators, airtable, path, {"name": TABLE, "fields": FIELDS})
    _post(simulators, hubspot, "/crm/v3/properties/contacts", PROPERTY)
    portal = simulators._running["hubspot"].world.portals[hubspot.sandbox.account]  # type: ignore[attr-defined]
    portal.kinds["0-1"].defaults.append("version")
    portal.kinds["0-1"].records.clear()


def _post(simulators: Simulators, provider: Any, path: str, body: Any) -> None:
    fields = headers(
        ("Authorization", f"Bearer {provider.sandbox.token}"),
        ("Content-Type", "application/json"),
    )
    content = json.dumps(body).encode()
    request = Request("POST", provider.hosts[0], path, fields, content)
    answer = simulators.handle(request, time.time_ns() / 1e9)
    assert answer.ok, answer.body


async def serve(file: Path, seed: int) -> None:
    """Serves until our stdin ends."""
    chronicle = Chronicle(file)
    number_airtable(chronicle)
    number_hubspot(chronicle, int(PROVIDERS["hubspot"].sandbox.account))
    simulators = Watched(chronicle)
    prepared(simulators)
    async with Authority(simulators, chronicle, seed) as server:
        await announce(int(server.origin.rpartition(":")[2]))


if __name__ == "__main__":
    run(serve(Path(sys.argv[1]), int(sys.argv[2])))

"""Small bodies that would become large ones: memory stays bounded, the bytes travel on."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import psycopg
import pytest
import zstandard
from neighbours.house import BASE, House, add_sync, open_house
from neighbours.rawclient import connect, request_bytes
from neighbours.recorder import Recorder, http

from providers.body import MAX_CODINGS, MAX_VALUES, content, parse, read_json
from providers.http import Response, headers
from providers.spec import Unreadable

API = "api.airtable.com"
TASKS = f"/v0/{BASE}/Tasks"
MEGABYTE = 1 << 20
FOLDED = 256 * MEGABYTE  # what a bomb would unfold to


def zeros(coder: Callable[[bytes], bytes], flush: Callable[[], bytes]) -> bytes:
    parts = [coder(bytes(MEGABYTE)) for _ in range(FOLDED // MEGABYTE)]
    return b"".join([*parts, flush()])


def bomb(coding: str) -> bytes:
    """256 MiB of zeros in a coding: a few hundred kilobytes at most."""
    if coding == "br":
        packer = brotli.Compressor(quality=1)
        return zeros(packer.process, packer.finish)
    if coding == "zstd":
        squeezer = zstandard.ZstdCompressor(level=1).compressobj()
        return zeros(squeezer.compress, squeezer.flush)
    folder = zlib.compressobj(1, wbits=31 if coding == "gzip" else 15)
    return zeros(folder.compress, folder.flush)


# Made when they are asked for: they are many megabytes, and every test process reads this.
DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "deep arrays": lambda: b"[" * 100_000 + b"]" * 100_000,
    "deep arrays that never close": lambda: b"[" * 1_000_000,
    "deep objects": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many small values": lambda: b"[" + b"[]," * (16 * MEGABYTE // 3) + b"[]]",
    "many numbers": lambda: b"[" + b"1," * (8 * MEGABYTE) + b"1]",
    "many members": lambda: (
        b"{" + b",".join(b'"%d":0' % n for n in range(MAX_VALUES + 1)) + b"}"
    ),
}
READABLE: dict[str, Callable[[], bytes]] = {
    "a huge whole number": lambda: b"[" + b"9" * MEGABYTE + b"]",
    "a huge exponent": lambda: b"[1e999999999, -1e-999999999]",
    "a huge text": lambda: b'["' + b"x" * (32 * MEGABYTE) + b'"]',
    "a huge text of commas, below the limit": lambda: b'["' + b", " * (MAX_VALUES - 10) + b'"]',
    "a member many times": lambda: b"{" + b",".join([b'"a":1'] * 100_000) + b"}",
    "a text of escapes": lambda: b'["' + rb"\ud83d\ude00\u0000" * 100_000 + b'"]',
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_document_that_would_exhaust_stack_or_memory_is_unreadable(what: str) -> None:
    with pytest.raises(Unreadable):
        parse(DOCUMENTS[what]())


@pytest.mark.parametrize("what", READABLE)
def test_a_document_that_is_merely_large_is_read(what: str) -> None:
    assert parse(READABLE[what]())


def test_of_a_member_that_comes_twice_the_last_counts() -> None:
    assert parse(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parse(rb'{"a": 1, "a": "\ud800"}') == {"a": "\ufffd"}


def test_codings_are_not_undone_without_end() -> None:
    body = b"[]"
    for _ in range(MAX_CODINGS):
        body = gzip.compress(body)
    nested = ", ".join(["gzip"] * MAX_CODINGS)
    assert read_json(Response(200, headers(("Content-Encoding", nested)), body)) == []
    endless = Response(200, headers(("Content-Encoding", f"{nested}, gzip")), body)
    with pytest.raises(Unreadable, match="codings"):
        content(endless)


def test_a_zstd_window_beyond_that_of_http_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    body = packer.compress(b"[1]" * 10) + packer.flush()
    with pytest.raises(Unreadable):
        content(Response(200, headers(("Content-Encoding", "zstd")), body))


PEAK = """
import json, pathlib, resource, sys
from providers.body import read_json
from providers.http import Response, headers
from providers.spec import Unreadable
status = pathlib.Path("/proc/self/status")
if status.exists():  # on Linux a process begins with the peak of the one that started it
    pathlib.Path("/proc/self/clear_refs").write_text("5")
def peak():
    if status.exists():
        line = next(l for l in status.read_text().splitlines() if l.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_json(Response(200, headers(), b"[]"))
before, peaks = peak(), {}
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    coding = file.name.partition("-")[0].replace("+", ", ")
    try:
        read_json(Response(200, headers(("Content-Encoding", coding)), file.read_bytes()))
        outcome = "read"
    except Unreadable:
        outcome = "unreadable"
    peaks[file.name] = [outcome, peak() - before]
print(json.dumps(peaks))
"""


def test_the_memory_of_a_bomb_is_bounded_by_the_limit_and_not_by_the_bomb(
    tmp_path: Path,
) -> None:
    for coding in ("gzip", "deflate", "br", "zstd"):
        (tmp_path / f"{coding}-zeros").write_bytes(bomb(coding))
    (tmp_path / "gzip+gzip-zeros").write_bytes(gzip.compress(bomb("gzip"), 1))
    for what, made in DOCUMENTS.items():
        (tmp_path / f"gzip-{what}").write_bytes(gzip.compress(made(), 1))
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 16 * MEGABYTE
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path], capture_output=True, text=True, check=True
    )
    peaks = json.loads(ran.stdout)
    assert {outcome for outcome, _ in peaks.values()} == {"unreadable"}
    # The decoded copy, of 64 MiB at most, and once more while it is put together.
    assert max(peak for _, peak in peaks.values()) < 200 * MEGABYTE, peaks


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_the_apis_bytes_travel_on_and_the_record_is_read_later(
    coding: str, database_dsn: str, tmp_path: Path
) -> None:
    body = bomb(coding)
    async with (
        Recorder() as upstream,
        open_house(database_dsn, tmp_path, upstream.url) as house,
    ):
        upstream.usual = http(
            200,
            ("Content-Type", "application/json"),
            ("Content-Encoding", coding),
            body=body,
        )
        sent = gzip.compress(DOCUMENTS["deep arrays"](), 1)
        fields = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
        answer = await _exchange(house, fields, sent)
        assert answer.status == 200
        assert answer.body == body
        assert upstream.seen[0].body == sent
        assert not answer.get("Httpproxy-Commit").startswith("applied")
        with psycopg.connect(database_dsn) as connection:
            marks = connection.execute("SELECT reason FROM httpproxy.dirty").fetchall()
        assert ["unfolds" in reason for (reason,) in marks] == [True]


async def _exchange(house: House, fields: list[tuple[str, str]], body: bytes):
    door = house.door(await add_sync(house, "airtable"))
    async with connect(door.host, door.port) as client:
        return await client.exchange(
            request_bytes("POST", door.root(API) + TASKS, fields, body)
        )

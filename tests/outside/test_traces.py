"""Traces of calls that go through a real gateway, as a real collector gets them."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

import orjson
import psycopg
import pytest
from neighbours.deadends import refusing
from neighbours.door import Door
from neighbours.house import BASE, add_sync, open_house
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import DROP, Recorder, http
from outside.collector import attributes, collecting

from httpproxy.cli.logs import JsonFormatter
from httpproxy.outside import watching
from httpproxy.settings.reading import Settings, SettingsError
from httpproxy.telemetry.watch import Watch

HOST = "api.airtable.com"
RECORD_ID = "rec00000000000001"
BODY = b'{"fields":{"Name":"SECRETbody"}}'
ANSWER = (
    b'{"id":"rec00000000000001","createdTime":"2026-01-02T03:04:05.000Z",'
    b'"fields":{"Name":"SECRETbody"}}'
)
JSON_TYPE = ("Content-Type", "application/json")
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TEMPLATE = "/v0/{base}/{table}/{record}"


async def change(door: Door, *headers: tuple[str, str]) -> Answer:
    """A write of a record, with what must not be told."""
    target = f"{door.root(HOST)}/v0/{BASE}/Tasks/{RECORD_ID}?note=SECRETquery"
    named = [JSON_TYPE, ("Authorization", "Bearer patSECRETtoken"), *headers]
    async with connect(door.host, door.port) as client:
        return await client.exchange(request_bytes("PATCH", target, named, BODY))


def request_id(answer: Answer) -> str:
    (receipt,) = [value for name, value in answer.head.headers if name == "Httpproxy-Commit"]
    return re.search(r"request-id=([^;\s]+)", receipt)[1]


async def test_a_write_is_a_trace_of_its_phases_within_the_clients_own(
    database_dsn: str, tmp_path: Path
):
    with collecting() as collector:
        async with Recorder(usual=http(200, JSON_TYPE, body=ANSWER)) as api:
            began = time.time_ns()
            async with open_house(
                database_dsn, tmp_path, api.url, otlp_endpoint=collector.origin
            ) as house:
                door = house.door(await add_sync(house, "airtable"))
                header = f"00-{TRACE}-{PARENT}-01"
                answer = await change(door, ("TraceParent", header), ("tracestate", "a=1"))
            ended = time.time_ns()
        seen = {n.lower(): v for n, v in api.seen[-1].head.headers}
    assert (seen["traceparent"], seen["tracestate"]) == (header, "a=1")  # as they came
    whole = collector.named(f"PATCH {TEMPLATE}")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, PARENT)
    said = attributes(whole)
    assert said["http.request.method"] == "PATCH"
    assert said["http.response.status_code"] == 200
    assert (said["http.route"], said["httpproxy.receipt"]) == (TEMPLATE, "applied")
    assert said["httpproxy.request_id"] == request_id(answer)
    assert said["httpproxy.provider"] == "airtable"
    phases = {s.name: s for s in collector.spans if s.parent_span_id == whole.span_id}
    assert set(phases) == {"permit", "intent", "send", "commit"}
    assert attributes(phases["send"])["http.response.status_code"] == 200
    order = [phases[name] for name in ("permit", "intent", "send", "commit")]
    for earlier, later in pairwise(order):
        assert earlier.end_time_unix_nano == later.start_time_unix_nano
    assert began <= whole.start_time_unix_nano <= order[0].start_time_unix_nano
    assert order[-1].end_time_unix_nano <= whole.end_time_unix_nano <= ended
    assert collector.paths[0] == "/v1/traces"
    assert collector.resources[0]["service.name"] == "httpproxy"
    for secret in (b"SECRET", RECORD_ID.encode(), BASE.encode(), door.unique_id.encode()):
        assert secret not in collector.raw


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (None, ""),
        (f"00-{TRACE}-{PARENT}-zz", ""),
        (f"00-{TRACE}-{PARENT}-00", None),  # the client does not want it sampled
    ],
    ids=["none", "malformed", "not sampled"],
)
async def test_a_trace_begins_here_unless_the_client_has_one(
    database_dsn: str, tmp_path: Path, header: str | None, parent: str | None
):
    headers = [("traceparent", header)] if header else []
    with collecting() as collector:
        async with (
            Recorder(usual=http(200, JSON_TYPE, body=ANSWER)) as api,
            open_house(
                database_dsn, tmp_path, api.url, otlp_endpoint=f"{collector.origin}/v1/traces"
            ) as house,
        ):
            await change(house.door(await add_sync(house, "airtable")), *headers)
    if parent is None:
        assert collector.spans == []
    else:
        whole = collector.named(f"PATCH {TEMPLATE}")
        assert whole.parent_span_id.hex() == parent
        assert whole.trace_id.hex() != TRACE


async def test_what_fails_is_marked_where_it_failed(database_dsn: str, tmp_path: Path):
    with collecting() as collector:
        async with (
            Recorder(usual=DROP) as api,
            open_house(
                database_dsn, tmp_path, api.url, otlp_endpoint=collector.origin
            ) as house,
        ):
            await change(house.door(await add_sync(house, "airtable")))
            watch = house.service.watch
            with watch.job("listing", "sync-1", "airtable"):
                pass
            with pytest.raises(LookupError), watch.job("truth", "sync-1", "airtable"):
                raise LookupError
    whole = collector.named(f"PATCH {TEMPLATE}")
    said = attributes(whole)
    assert (whole.status.code, said["error.type"]) == (2, "upstream_failed")
    assert (said["httpproxy.problem"], "httpproxy.receipt" in said) == (
        "upstream_failed",
        False,
    )
    assert collector.named("send").status.code == 2
    assert collector.named("permit").status.code == 0
    assert attributes(collector.named("sync listing"))["httpproxy.outcome"] == "done"
    assert collector.named("sync truth").status.code == 2
    assert watch.tally.spans == {"sent": len(collector.spans), "lost": 0}


async def test_a_collector_that_is_away_costs_the_calls_nothing(database_dsn, tmp_path, caplog):
    with refusing() as nobody:
        async with (
            Recorder(usual=http(200, JSON_TYPE, body=ANSWER)) as api,
            open_house(database_dsn, tmp_path, api.url, otlp_endpoint=nobody) as house,
        ):
            answer = await change(house.door(await add_sync(house, "airtable")))
            began = time.monotonic()
    assert answer.head.start == "HTTP/1.1 200 OK"
    assert time.monotonic() - began < 60
    assert house.service.watch.tally.spans["lost"] > 0


async def test_without_the_extra_the_setting_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpproxy.telemetry.spans", None)
    settings = Settings(otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(SettingsError, match=r"pip install 'httpproxy\[otel\]'"):
        async with watching(settings):
            raise AssertionError("opened without its libraries")


async def test_without_the_setting_there_is_no_tracer_and_nothing_is_loaded_for_it():
    async with watching(Settings()) as watch:
        assert watch.tracer is None
    loaded = "import httpproxy.service, sys; print('opentelemetry' in sys.modules)"
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", loaded, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await program.communicate()
    assert told.strip() == b"False"
    assert Watch().tracer is None


async def test_one_request_id_leads_from_the_access_line_to_the_event(
    database_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    lines: list[bytes] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonFormatter().format(record).encode())

    keeping = Keeping()
    logging.getLogger().addHandler(keeping)
    try:
        async with (
            Recorder(usual=http(200, JSON_TYPE, body=ANSWER)) as api,
            open_house(database_dsn, tmp_path, api.url, access_log=True) as house,
        ):
            caplog.set_level(logging.DEBUG)
            sync = await add_sync(house, "airtable")
            answer = await change(house.door(sync), ("X-Request-Id", "mine-7"))
            api.replies.append(DROP)
            lost = await change(house.door(sync))
    finally:
        logging.getLogger().removeHandler(keeping)
    told = [orjson.loads(line) for line in lines]
    access = [line for line in told if line["logger"] == "httpproxy.access"]
    assert [line["request_id"] for line in access] == [request_id(answer), request_id(lost)]
    first, second = access
    assert (first["sync_id"], first["provider"]) == (sync.id, "airtable")
    assert (first["client_request_id"], first["receipt"]) == ("mine-7", "applied")
    assert (second["problem"], second["sent"]) == ("upstream_failed", "unknown")
    of_second = [line for line in told if line.get("request_id") == request_id(lost)]
    assert len(of_second) > 1  # the refusal, and what looks after its intent
    with psycopg.connect(database_dsn) as connection:
        events = connection.execute("SELECT request_id FROM httpproxy.event").fetchall()
    assert events == [(request_id(answer),)]
    assert not any(sync.unique_id.encode() in line or b"SECRET" in line for line in lines)

"""Every kind of fault, as a client meets it, and what was applied meanwhile."""

from __future__ import annotations

import asyncio
import time
import zlib

import brotli
import pytest
import zstandard
from neighbours.rawclient import request_bytes
from sandboxed import AUTHORIZATION, HOST, TASKS, Sandbox

DECODERS = {
    "gzip": lambda body: zlib.decompress(body, 31),
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}


async def test_delay_before_waits_and_then_applies(box: Sandbox):
    await box.order(kind="delay_before", seconds=0.3)
    began = time.perf_counter()
    assert (await box.create("late")).status == 200
    assert time.perf_counter() - began >= 0.3


async def test_delay_after_has_applied_the_call_by_then(box: Sandbox):
    await box.order(kind="delay_after", seconds=600, method="POST")
    async with box.connected() as client:
        body = b'{"fields": {"Name": "applied"}}'
        await client.send(_post(body))
        async with asyncio.timeout(60):
            while "applied" not in await box.names():
                pass
        assert await client.rest(patience=0.1) is None


@pytest.mark.parametrize(("when", "applied"), [("before", False), ("after", True)])
async def test_a_drop_closes_without_an_answer(box: Sandbox, when: str, applied: bool):
    await box.order(kind="drop", when=when, method="POST")
    with pytest.raises(ConnectionError):
        await box.create("dropped")
    assert ("dropped" in await box.names()) is applied
    entry = (await box.control("GET", "requests"))["requests"][0]
    assert (entry["applied"], entry["status"], entry["faults"]) == (applied, None, ["drop"])


async def test_a_429_carries_its_retry_after_and_the_vendors_body(box: Sandbox):
    await box.order(kind="status", status=429, retry_after=7)
    answer = await box.create("too many")
    assert (answer.status, answer.get("Retry-After")) == (429, "7")
    assert set(answer.json()["error"]) == {"type", "message"}
    assert "too many" not in await box.names()


async def test_a_retry_after_can_be_any_text(box: Sandbox):
    await box.order(kind="status", status=503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    assert (await box.create("x")).get("Retry-After") == "Wed, 21 Oct 2026 07:28:00 GMT"


async def test_a_5xx_after_applying_is_the_api_that_lost_its_answer(box: Sandbox):
    await box.order(kind="status", status=502, body="html", when="after")
    answer = await box.create("lost answer")
    assert (answer.status, answer.get("Content-Type")) == (502, "text/html; charset=utf-8")
    assert "lost answer" in await box.names()


async def test_an_empty_body_can_be_ordered(box: Sandbox):
    await box.order(kind="status", status=500, body="empty")
    answer = await box.create("x")
    assert (answer.status, answer.body, answer.all("Content-Type")) == (500, b"", [])


@pytest.mark.parametrize("keep", [None, 0, 10])
async def test_truncate_ends_the_body_before_its_length(box: Sandbox, keep: int | None):
    await box.order(kind="truncate", keep=keep, method="POST")
    async with box.connected() as client:
        await client.send(_post(b'{"fields": {"Name": "cut"}}'))
        raw = await client.rest()
    head, _, body = raw.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == (length // 2 if keep is None else keep)
    assert len(body) < length
    assert "cut" in await box.names()


@pytest.mark.parametrize("coding", sorted(DECODERS))
async def test_compress_is_in_the_coding_that_was_ordered(box: Sandbox, coding: str):
    plain = await box.call("GET", TASKS)
    await box.order(kind="compress", coding=coding)
    answer = await box.call("GET", TASKS)
    assert answer.get("Content-Encoding") == coding
    assert DECODERS[coding](answer.body) == plain.body


async def test_chunked_carries_the_same_body(box: Sandbox):
    plain = await box.call("GET", TASKS)
    await box.order(kind="chunked", size=5)
    answer = await box.call("GET", TASKS)
    assert answer.get("Transfer-Encoding") == "chunked"
    assert answer.all("Content-Length") == []
    assert answer.body == plain.body


async def test_a_chunked_body_can_be_cut_short_too(box: Sandbox):
    await box.order(kind="chunked", size=5, method="POST")
    await box.order(kind="truncate", keep=12, method="POST")
    async with box.connected() as client:
        await client.send(_post(b'{"fields": {"Name": "cut"}}'))
        raw = await client.rest()
    assert b"chunked" in raw
    assert not raw.endswith(b"0\r\n\r\n")


async def test_an_order_lasts_for_its_count_and_only_for_calls_that_it_fits(box: Sandbox):
    await box.order(kind="status", status=500, method="POST", path="/Tasks$", count=2)
    assert (await box.call("GET", TASKS)).status == 200
    statuses = [(await box.create(name)).status for name in ("a", "b", "c")]
    assert statuses == [500, 500, 200]


async def test_an_order_without_end_lasts_until_it_is_cancelled(box: Sandbox):
    await box.order(kind="status", status=500, count=None)
    assert [(await box.create("x")).status for _ in range(3)] == [500] * 3
    (order,) = (await box.control("GET", "faults"))["faults"]
    assert (order["kind"], order["count"]) == ("status", None)
    assert await box.control("DELETE", f"faults?id={order['id']}") == {"removed": 1}
    assert (await box.create("x")).status == 200


async def test_all_orders_can_be_cancelled_at_once(box: Sandbox):
    await box.order(kind="drop")
    await box.order(kind="status", status=500)
    assert await box.control("DELETE", "faults") == {"removed": 2}
    assert (await box.create("x")).status == 200


async def test_two_statuses_answer_two_calls_in_turn(box: Sandbox):
    await box.order(kind="status", status=429)
    await box.order(kind="status", status=503)
    assert [(await box.create("x")).status for _ in range(3)] == [429, 503, 200]


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({}, "kind"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "delay_before"}, "seconds"),
        ({"kind": "delay_before", "seconds": -1}, "seconds"),
        ({"kind": "delay_after", "seconds": True}, "seconds"),
        ({"kind": "drop", "when": "during"}, "when"),
        ({"kind": "status"}, "status"),
        ({"kind": "status", "status": 700}, "status"),
        ({"kind": "status", "status": 500, "body": "poem"}, "body"),
        ({"kind": "status", "status": 429, "retry_after": -5}, "retry_after"),
        ({"kind": "status", "status": 429, "retry_after": "a\r\nb"}, "retry_after"),
        ({"kind": "truncate", "keep": "half"}, "keep"),
        ({"kind": "compress", "coding": "rot13"}, "coding"),
        ({"kind": "compress"}, "coding"),
        ({"kind": "chunked", "size": 0}, "size"),
        ({"kind": "drop", "count": 0}, "count"),
        ({"kind": "drop", "path": "("}, "path"),
        ({"kind": "drop", "method": 3}, "method"),
        ({"kind": "drop", "host": "api.example.com"}, "host"),
        ({"kind": "drop", "seconds": 3}, "seconds"),
        ([], "body"),
        (b"{", "body"),
    ],
    ids=str,
)
async def test_a_bad_order_is_a_400_that_names_the_member(
    box: Sandbox, order: object, field: str
):
    error = await box.refused("POST", "faults", order)
    assert error["field"] == field
    assert error["message"].startswith(f"{field}: ")
    assert (await box.control("GET", "faults"))["faults"] == []


async def test_cancelling_an_order_that_is_not_open_is_refused(box: Sandbox):
    assert (await box.refused("DELETE", "faults?id=9", None))["field"] == "id"


def _post(body: bytes) -> bytes:
    fields = [("Host", HOST), AUTHORIZATION, ("Content-Type", "application/json")]
    return request_bytes("POST", TASKS, fields, body)

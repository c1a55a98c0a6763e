"""Reading a copy of a body: bounded, and storable in Postgres."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from providers.body import content, parse, read_json
from providers.http import Response, headers
from providers.spec import Unreadable

TEXT = b'{"id": "rec1"}' * 50
CODED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
}


def answer(body, *codings):
    return Response(200, headers(*(("Content-Encoding", c) for c in codings)), body)


@pytest.mark.parametrize("coding", CODED)
def test_every_coding_is_undone(coding):
    assert content(answer(CODED[coding](TEXT), coding)) == TEXT


def test_raw_deflate_as_some_servers_send_it_is_undone():
    raw = zlib.compressobj(wbits=-15)
    assert content(answer(raw.compress(TEXT) + raw.flush(), "deflate")) == TEXT


def test_codings_are_undone_in_reverse_order():
    assert content(answer(brotli.compress(gzip.compress(TEXT)), "gzip, br")) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_not_unfolded(coding):
    with pytest.raises(Unreadable, match="limit"):
        content(answer(CODED[coding](bytes(3_000_000)), coding), limit=1_000_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_body_that_is_cut_short_is_not_taken_for_whole(coding):
    with pytest.raises(Unreadable):
        content(answer(CODED[coding](TEXT)[:-6], coding))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress", "nonsense"])
def test_what_is_not_in_its_coding_is_unreadable(coding):
    with pytest.raises(Unreadable):
        content(answer(b"\xff\xfe plain", coding))


def test_an_oversized_plain_body_is_unreadable():
    with pytest.raises(Unreadable, match="limit"):
        content(answer(b"x" * 11), limit=10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"a\u0000b"', "a\ufffdb"),
        (rb'{"a\u0000": 1}', {"a\ufffd": 1}),
        (rb'["\ud800", "\udc00x"]', ["\ufffd", "\ufffdx"]),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (b"9007199254740993", 9007199254740993),
        (b"[1e400, 1.5]", ["1E+400", 1.5]),
    ],
)
def test_json_comes_back_storable(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"[Infinity]", b"", b"{", b"\xff", b"[" * 100_000, b"[" * 5000 + b"]" * 5000],
)
def test_what_is_not_json_or_too_deep_is_unreadable(text):
    with pytest.raises(Unreadable):
        parse(text)


def test_the_body_of_a_message_is_read_through_its_coding():
    assert read_json(answer(gzip.compress(b'{"a": [1]}'), "gzip")) == {"a": [1]}


@given(st.binary(max_size=300))
def test_any_bytes_are_json_or_unreadable(data):
    try:
        value = parse(data)
    except Unreadable:
        return
    assert "\0" not in str(value)

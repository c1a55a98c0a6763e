"""Everything in the table of refusals is answered by us, and no upstream hears of it."""

from __future__ import annotations

import orjson
import pytest
from cases import TASKS
from neighbours.door import Door
from neighbours.problem import assert_problem, by_nginx
from neighbours.rawclient import request_bytes
from neighbours.recorder import Recorder
from refusals import REFUSED, Refusal

from httpproxy.exchange.problems import PROBLEMS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRETS = ("patSecretOfTheCaller", "secret nonsense", "Tr0ub4dor")


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: refusal.name)
async def test_a_request_is_refused_in_our_own_form(
    refusal: Refusal, either: Door, upstream: Recorder
) -> None:
    async with either.connect() as client:
        await client.send(refusal.bytes_for(either.unique_id))
        answer = await client.answer()
    problem = assert_problem(answer)
    if by_nginx(answer):
        assert answer.status == (refusal.by_nginx or refusal.status)
        assert problem["code"] in PROBLEMS
    else:
        assert answer.status == refusal.status
        assert problem["code"] == (refusal.code or problem["code"])
        assert either.behind_nginx or not answer.all("Server")
    assert problem["sent"] == "no"
    assert problem["retry_safe"] is True
    said = answer.head.raw + answer.body
    for secret in (either.unique_id, *SECRETS):
        assert secret.encode() not in said
    assert upstream.seen == []


DOUBTFUL = ("R6 framing", "R12 coding", "R12 not HTTP", "R12 version")


@pytest.mark.parametrize(
    "refusal",
    [r for r in REFUSED if r.name.startswith(DOUBTFUL)],
    ids=lambda refusal: refusal.name,
)
async def test_what_follows_a_request_with_doubtful_ends_is_never_read_as_another(
    refusal: Refusal, either: Door, upstream: Recorder
) -> None:
    root = either.root("api.airtable.com")
    smuggled = f"GET {root}/v0/x HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    async with either.connect() as client:
        await client.send(refusal.bytes_for(either.unique_id) + smuggled)
        answer = await client.answer()
        # What nginx could read, and only we refuse, had ends that are in no doubt.
        if not either.behind_nginx or answer.get("Connection") == "close":
            assert await client.rest() == b""
    assert upstream.seen == []


KINDS = {(refusal.status, refusal.code): refusal for refusal in REFUSED}


@pytest.mark.parametrize("refusal", KINDS.values(), ids=lambda refusal: refusal.name)
async def test_after_a_refusal_the_connection_serves_on_or_says_that_it_closes(
    refusal: Refusal, either: Door, upstream: Recorder
) -> None:
    async with either.connect() as client:
        await client.send(refusal.bytes_for(either.unique_id))
        answer = await client.answer()
        if "close" in answer.all("Connection"):
            assert await client.rest() == b""
        else:
            good = request_bytes("GET", either.root("api.airtable.com") + TASKS)
            assert (await client.exchange(good)).status == 200
            assert len(upstream.seen) == 1


async def test_a_request_without_a_version_is_refused(either: Door, upstream: Recorder) -> None:
    """R12: to HTTP/0.9 nginx answers with the body alone, as that version has no head."""
    request = Refusal("", b"GET ROOT/v0/BASE/Tasks\r\n\r\n", 505).bytes_for(either.unique_id)
    async with either.connect() as client:
        await client.send(request)
        said = await client.rest()
    assert said is not None
    assert orjson.loads(said.rpartition(b"\r\n\r\n")[2])["code"] == "version_not_supported"
    assert said.startswith(b"{" if either.behind_nginx else b"HTTP/1.1 505 ")
    assert upstream.seen == []

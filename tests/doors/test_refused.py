"""Everything in the table of refusals is answered by us, and no upstream hears of it."""

from __future__ import annotations

import pytest
from neighbours.door import Door
from neighbours.problem import assert_problem
from neighbours.rawclient import connect
from neighbours.recorder import Recorder
from refusals import REFUSED, Refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRETS = ("patSecretOfTheCaller", "secret nonsense", "Tr0ub4dor")


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: refusal.name)
async def test_a_request_is_refused_in_our_own_form(
    refusal: Refusal, door: Door, upstream: Recorder
) -> None:
    async with connect(door.host, door.port) as client:
        await client.send(refusal.bytes_for(door.unique_id))
        answer = await client.answer()
    assert answer.status == refusal.status
    problem = assert_problem(answer)
    if refusal.code is not None:
        assert problem["code"] == refusal.code
    assert problem["sent"] == "no"
    assert problem["retry_safe"] is True
    said = answer.head.raw + answer.body
    for secret in (door.unique_id, *SECRETS):
        assert secret.encode() not in said
    assert upstream.seen == []


@pytest.mark.parametrize(
    "refusal",
    [r for r in REFUSED if r.name.startswith(("framing", "coding", "not HTTP", "version"))],
    ids=lambda refusal: refusal.name,
)
async def test_what_follows_a_request_with_doubtful_ends_is_never_read_as_another(
    refusal: Refusal, door: Door, upstream: Recorder
) -> None:
    smuggled = f"GET {door.root('api.airtable.com')}/v0/x HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    async with connect(door.host, door.port) as client:
        await client.send(refusal.bytes_for(door.unique_id) + smuggled)
        await client.answer()
        assert await client.rest() == b""
    assert upstream.seen == []

"""A read of ours that is refused is an error, never an answer without records.

Each provider's conversations are held with its sandbox up to some call, and that one is
answered with trouble: the last of several 429s, a gateway's page, half a body.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import product
from typing import Any

import pytest
from driving import MIDDAY, Account
from hypothesis import given
from hypothesis import strategies as st

from providers.catalog import PROVIDERS
from providers.http import Response, headers
from providers.record import Collection
from providers.spec import Conversation, Heard, Provider, Refused

HTML = headers(("Content-Type", "text/html"))
JSON = headers(("Content-Type", "application/json"))
TROUBLES = {
    "429": Response(429, JSON, b"{}"),
    "500": Response(500, JSON, b"[]"),
    "502 page": Response(502, HTML, b"<html>Bad gateway</html>"),
    "503 empty": Response(503),
    "401": Response(401, JSON, b'{"error":"gone"}'),
    "403": Response(403, JSON, b'{"error":{"type":"NOPE"}}'),
    "200 page": Response(200, HTML, b"<html>Please log in</html>"),
    "200 half": Response(200, JSON, b'{"records":[{"id"'),
    "200 empty": Response(200, JSON, b""),
}

# Where a token may not go, a discovery goes without and a feed listens in another way.
WAYS_AROUND = {("discover", "403"), ("listen", "403")}

Begin = Callable[[Provider, Collection], Conversation[Any]]


def _listed(provider: Provider, collection: Collection) -> Conversation[Any]:
    return provider.list_page(collection, None, True)


def _swept(provider: Provider, collection: Collection) -> Conversation[Any]:
    return provider.list_page(collection, None, False)


def _read(provider: Provider, collection: Collection) -> Conversation[Any]:
    return provider.read_records(collection, [("1",)])


def _discovered(provider: Provider, _: Collection) -> Conversation[Any]:
    return provider.discover(provider.sandbox.account, provider.sandbox.collections)


READS: dict[str, Begin] = {
    "list": _listed,
    "sweep": _swept,
    "read": _read,
    "discover": _discovered,
}


@cache
def _talk(name: str, read: str) -> list[tuple[Collection, list[Response]]]:
    """For each collection, what the sandbox answers in the course of a conversation."""
    account = Account(PROVIDERS[name])
    talks = []
    for collection in account.discover():
        conversation, answers = READS[read](account.provider, collection), []
        with suppress(StopIteration):
            request = next(conversation)
            while True:
                answers.append(account.call(request))
                request = conversation.send(answers[-1])
        talks.append((collection, answers))
    return talks


@pytest.mark.parametrize(("read", "trouble"), sorted({*product(READS, TROUBLES)} - WAYS_AROUND))
def test_a_refused_read_is_refused_whichever_of_its_calls_it_was(
    provider: Provider, read: str, trouble: str
):
    for collection, answers in _talk(provider.name, read):
        assert answers, "it made no call at all"
        for call in range(len(answers)):
            conversation = READS[read](provider, collection)
            next(conversation)
            for answer in answers[:call]:
                conversation.send(answer)
            with pytest.raises(Refused):
                conversation.send(TROUBLES[trouble])


@pytest.mark.parametrize(
    "trouble", [trouble for trouble in TROUBLES if ("listen", trouble) not in WAYS_AROUND]
)
def test_a_feed_that_is_refused_has_heard_nothing_and_says_so(provider: Provider, trouble: str):
    for feed in provider.feeds(Account(provider).discover()):
        conversation = provider.listen(feed, None, MIDDAY)
        assert _refused(conversation, TROUBLES[trouble])


def _refused(conversation: Conversation[Heard], trouble: Response) -> bool:
    """Whether trouble after trouble ends in a refusal: of the feed, or of collections."""
    try:
        next(conversation)
        for _ in range(10):
            conversation.send(trouble)
    except Refused:
        return True
    except StopIteration as done:
        heard: Heard = done.value
        return bool(heard.refused) and not heard.change.images
    return False


@given(
    most=st.text(max_size=12) | st.integers().map(str) | st.just("9" * 5000),
    interval=st.text(max_size=12) | st.integers().map(str) | st.just("9" * 400),
    budget=st.sampled_from(["standard", "search"]),
    name=st.sampled_from(["X-HubSpot-RateLimit-Max", "X-RateLimit-Limit"]),
)
def test_headers_that_state_anything_state_a_rate_or_none(most, interval, budget, name):
    response = Response(
        200,
        headers((name, most), ("X-HubSpot-RateLimit-Interval-Milliseconds", interval)),
    )
    for provider in PROVIDERS.values():
        stated = provider.allowed(budget, response)
        if stated is not None:
            assert stated.name == budget
            assert stated.allowed_requests >= 1
            assert stated.interval > 0

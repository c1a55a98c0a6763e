"""Answers that are not quite what an API says: nothing falls over, nothing is made up.

The sandbox's real answers are taken as they are, and somewhere in them a value is
replaced, lost, doubled or wrapped. Readers of images and conversations may say what they
are documented to say of such an answer, and nothing else; what they do read stays within
the collections and fields that there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from driving import MIDDAY, Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.catalog import PROVIDERS
from providers.http import Request, Response, headers
from providers.record import Change, Collection, Schema
from providers.routing import Router
from providers.spec import (
    Conversation,
    Exchange,
    Heard,
    ListingExpired,
    Page,
    Provider,
    Refused,
    Route,
    UnknownCollection,
    Unreadable,
    Unrecognised,
)

JSON_TYPE = ("Content-Type", "application/json")
DOCUMENTED = (Refused, ListingExpired, UnknownCollection, Unrecognised)
QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["", "0", "rec1", "fld1", "2026-11-21T00:00:00.000Z", "-1", "1e999"])
)  # fmt: skip
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@cache
def real(name: str) -> tuple[Schema, list[tuple[str, list[Response]]]]:
    """A provider's seeded collections, and what the sandbox answers to calls of ours."""
    account = Account(PROVIDERS[name])
    provider, found = account.provider, account.discover()
    heard = []
    for what, begin in conversations(provider, found).items():
        answers, conversation = [], begin()
        with suppress(StopIteration, *DOCUMENTED):
            request = next(conversation)
            while True:
                answers.append(account.call(request))
                request = conversation.send(answers[-1])
        heard.append((what, answers))
    heard.append(("write", [account.call(provider.sandbox.example.request)]))
    return Schema(found), heard


def conversations(
    provider: Provider, found: tuple[Collection, ...]
) -> dict[str, Callable[[], Conversation[Any]]]:
    """Every conversation that a provider can hold, each with the seeded collections."""
    kit = provider.sandbox
    begin: dict[str, Callable[[], Conversation[Any]]] = {
        "discover": lambda: provider.discover(kit.account, kit.collections)
    }
    if provider.identify is not None:
        identify = provider.identify
        begin["identify"] = lambda: identify(kit.token)
    for each in found:
        begin[f"list {each.id}"] = lambda each=each: provider.list_page(each, None, True)
        begin[f"sweep {each.id}"] = lambda each=each: provider.list_page(each, None, False)
        key = ("1",) * len(each.key)
        begin[f"read {each.id}"] = lambda each=each, key=key: provider.read_records(each, [key])
        begin[f"created {each.id}"] = lambda each=each: provider.list_created(each, MIDDAY)
    for feed in provider.feeds(found):
        begin[f"listen {feed.name}"] = lambda feed=feed: provider.listen(feed, None, MIDDAY)
    return begin


@st.composite
def mutated(draw: Callable[..., Any], body: bytes) -> bytes:
    """The body with one or two places of its JSON changed."""
    try:
        value = json.loads(body)
    except ValueError:
        return draw(st.binary(max_size=20))
    for _ in range(draw(st.integers(1, 2))):
        value = _changed(draw, value)
    return json.dumps(value).encode()


def _changed(draw: Callable[..., Any], value: Any) -> Any:
    deeper = bool(value) and isinstance(value, dict | list) and draw(st.integers(0, 9)) > 1
    if not deeper:
        way = draw(st.sampled_from(("replace", "wrap", "empty")))
        return {"replace": draw(JSONS), "wrap": [value], "empty": type(value)()}.get(way)
    copy = dict(value) if isinstance(value, dict) else list(value)
    place = draw(st.sampled_from(sorted(copy) if isinstance(copy, dict) else range(len(copy))))
    if draw(st.integers(0, 9)) == 0:
        del copy[place]
    elif isinstance(copy, list) and draw(st.integers(0, 9)) == 0:
        copy.append(copy[place])
    else:
        copy[place] = _changed(draw, copy[place])
    return copy


def judge(change: Change, schema: Schema) -> None:
    """What is read names collections, fields and records that can be."""
    known = {collection.id: collection for collection in schema.collections}
    for image in change.images:
        collection = known[image.collection]
        assert all(isinstance(part, str) and part for part in image.key), image
        assert image.key or image.match, image
        assert set(image.values) <= set(collection.by_id), image
    for mark in change.dirty:
        assert mark.collection in known
        assert mark.key is None or all(isinstance(p, str) and p for p in mark.key), mark


def readers(provider: Provider) -> list[Route]:
    return [route for route in provider.routes if route.read is not None]


def filled(route: Route, schema: Schema, draw: Callable[..., Any]) -> str:
    """The route's path with ids of the account and its collections in it, or others."""
    names = [n for c in schema.collections for n in (c.id, c.name, *sorted(c.aliases))]
    pieces = st.sampled_from([*names, "1", "rec1", "appDemo0000000000", "x", "0-1", "%2F"])
    return "/".join(
        str(draw(pieces)).replace("/", "%2F").replace(" ", "%20") if "{" in part else part
        for part in route.path.split("/")
    )


@pytest.mark.parametrize("name", PROVIDERS)
@QUIET
@given(data=st.data())
def test_readers_of_images_read_or_say_that_they_cannot(name: str, data: Any) -> None:
    provider, (schema, heard) = PROVIDERS[name], real(name)
    route = data.draw(st.sampled_from(readers(provider)), label="route")
    path = filled(route, schema, data.draw)
    host = route.host or provider.hosts[0]
    match = Router(provider).match(route.method, host, path)
    if match is None or match.route.read is None:
        return
    pool = [answer.body for _, answers in heard for answer in answers if answer.body]
    sent, said = (data.draw(mutated(data.draw(st.sampled_from(pool)))) for _ in "ab")
    request = Request(route.method, host, path, headers(JSON_TYPE), sent)
    exchange = Exchange(request, Response(200, headers(JSON_TYPE), said), match.variables)
    with suppress(Unreadable):
        judge(match.route.read(exchange, schema), schema)
    if match.route.draft is not None:
        with suppress(Unreadable):
            for draft in match.route.draft(request, match.variables, schema):
                assert schema.find(draft.collection) is not None


@pytest.mark.parametrize("name", PROVIDERS)
@QUIET
@given(data=st.data())
def test_conversations_end_in_a_result_or_in_a_documented_refusal(name: str, data: Any) -> None:
    provider, (schema, heard) = PROVIDERS[name], real(name)
    begin = conversations(provider, schema.collections)
    what, answers = data.draw(st.sampled_from([h for h in heard if h[0] in begin]))
    at = data.draw(st.integers(0, max(0, len(answers) - 1)), label=f"{what}, answer")
    conversation, turn = begin[what](), 0
    try:
        next(conversation)
        while turn < len(answers) + 5:
            answer = answers[min(turn, len(answers) - 1)]
            if turn == at:
                answer = Response(200, answer.headers, data.draw(mutated(answer.body)))
            conversation.send(answer)
            turn += 1
    except StopIteration as done:
        told = done.value
        if isinstance(told, Page | Heard):
            judge(told.change, schema)
    except DOCUMENTED:
        pass
    finally:
        conversation.close()
    assert turn <= len(answers) + 5

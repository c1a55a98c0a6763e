"""What every provider's description must keep to, whatever the API."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from driving import Account, sample

from providers.catalog import PROVIDERS
from providers.http import Request, Response, headers
from providers.record import Change, Schema
from providers.routing import Router
from providers.spec import Action, Exchange, Provider, Route, Unreadable

# Members of our own problems, which a provider's may not replace (httpproxy.exchange.problems).
OUR_MEMBERS = {
    *("type", "title", "detail", "instance", "source", "code", "request_id", "sent"),
    "retry_safe",
}
WRITES = [(p, r) for p in PROVIDERS.values() for r in p.routes if r.read is not None]
UNREADABLE_BODIES = {
    "empty": b"",
    "cut short": b'{"id": "rec',
    "not UTF-8": b"\xff\xfe\x00",
    "null": b"null",
    "a list": b"[]",
    "a list of numbers": b"[1, 2]",
    "a string": b'"ok"',
    "an empty object": b"{}",
    "another shape": b'{"id": 5, "fields": [], "records": {}, "results": "x", "properties": 7}',
    "lists of the wrong things": b'{"records": [null, 1, []], "results": [null, 1, []]}',
    "nulls": b'{"id": null, "fields": null, "records": null, "results": null}',
    "far too deep": b'{"records":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "gzip though nothing says so": gzip.compress(b"{}"),
}


def test_names_are_the_catalogs_and_fit_into_sql_and_urls(provider: Provider):
    assert PROVIDERS[provider.name] is provider
    assert re.fullmatch(r"[a-z][a-z0-9_]*", provider.name)


def test_route_names_are_unique(provider: Provider):
    names = [route.name for route in provider.routes]
    assert len(names) == len(set(names))


def test_a_route_stands_on_a_host_of_the_provider(provider: Provider):
    assert all(route.host is None or route.host in provider.hosts for route in provider.routes)
    assert all(host == host.lower() for host in provider.hosts)


def test_a_host_hint_leads_from_a_wrong_host_to_a_right_one(provider: Provider):
    for wrong, right in provider.host_hints.items():
        assert wrong not in provider.hosts
        assert right in provider.hosts


def test_no_route_is_hidden_behind_another(provider: Provider):
    router = Router(provider)
    for route in provider.routes:
        method = "GET" if route.method == "*" else route.method
        match = router.match(method, route.host or provider.hosts[0], sample(route.path))
        assert match is not None, route.name
        assert match.route.name == route.name


def test_a_write_says_what_it_commits_and_can_read_its_answer(provider: Provider):
    for route in provider.routes:
        if route.action is Action.WRITE:
            assert route.read is not None, route.name
            assert route.commits not in ("", "nothing"), route.name


def test_a_read_commits_nothing(provider: Provider):
    for route in provider.routes:
        if route.action is Action.READ:
            assert route.read is None, route.name
            assert route.commits == "nothing", route.name


def test_budgets_are_named_and_exist(provider: Provider):
    budgets = {budget.name: budget for budget in provider.budgets}
    assert len(budgets) == len(provider.budgets) > 0
    assert {route.budget for route in provider.routes} <= set(budgets)
    for rate in provider.default_rates:
        own = budgets[rate.name]
        assert rate.allowed_requests > 0
        assert rate.allowed_requests * own.interval <= own.allowed_requests * rate.interval


def test_the_account_is_known_by_path_or_by_token(provider: Provider):
    assert (provider.account_variable is None) == (provider.identify is not None)
    if provider.account_variable is not None:
        for route in provider.routes:
            if route.action is Action.WRITE:
                assert f"{{{provider.account_variable}}}" in route.path, route.name


def test_a_user_is_told_where_to_get_each_credential(provider: Provider):
    kinds = [kind.name for kind in provider.credential_kinds]
    assert len(kinds) == len(set(kinds)) > 0
    assert all(kind.startswith(f"{provider.name}_") for kind in kinds)
    assert all(kind.title and kind.help for kind in provider.credential_kinds)


def test_a_credential_replaces_whatever_was_there_and_never_shows(provider: Provider):
    request = Request(
        "POST",
        provider.hosts[0],
        "/a%2Fb?c",
        headers(("authorization", "old"), ("X-Other", "kept")),
        b"body",
    )
    sent = provider.authorize(request, "planted-secret")
    values = [v for n, v in sent.headers.items() if n.lower() == "authorization"]
    assert len(values) == 1
    assert "planted-secret" in values[0]
    assert sent.headers["X-Other"] == "kept"
    assert (sent.method, sent.host, sent.target, sent.body) == (
        *(request.method, request.host, request.target),
        request.body,
    )
    assert "planted-secret" not in repr(sent)


@pytest.mark.parametrize("status", [400, 403, 404, 413, 500, 502, 504])
def test_a_refusal_carries_our_message_beside_our_own_members(provider: Provider, status: int):
    members = provider.refusal(status, "some_code", "Some message for people.", "req-1")
    assert "Some message for people." in json.dumps(members)
    assert OUR_MEMBERS.isdisjoint(members)


def test_an_ordinary_answer_asks_for_no_pause(provider: Provider):
    for status in (200, 201, 204, 400, 404, 500):
        assert provider.pause(Response(status, body=b"{}")) is None


@pytest.mark.parametrize(
    ("provider", "route"), WRITES, ids=[f"{p.name}: {r.name}" for p, r in WRITES]
)
def test_no_answer_breaks_a_reader(provider: Provider, route: Route):
    account = Account(provider)
    schema = Schema(account.discover())
    router = Router(provider)
    host, path = route.host or provider.hosts[0], sample(route.path)
    for spelling in ("sample1", provider.sandbox.collections[0]):
        target = path.replace("sample1", spelling)
        method = "POST" if route.method == "*" else route.method
        match = router.match(method, host, target)
        assert match is not None
        for name, body in UNREADABLE_BODIES.items():
            request = Request(method, host, target, body=body)
            exchange = Exchange(request, Response(200, body=body), match.variables)
            try:
                change = match.route.read(exchange, schema)
            except Unreadable:
                continue
            assert isinstance(change, Change), name

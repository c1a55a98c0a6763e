"""What a request is meant to do, told before it is answered, against what the sandbox does."""

from __future__ import annotations

import json

import pytest
from agreement import disagreements
from driving import Account, sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writes import ACCEPTED, FAULTY, RANDOM, WORDS, call, prepared

from providers.catalog import PROVIDERS
from providers.http import Request, Response, headers
from providers.record import NO_CHANGE, Change, Schema
from providers.spec import Action, Draft, Drafter, DraftKind, Exchange, Provider, Unreadable

ALL_ACCEPTED = [(p, name) for p, calls in ACCEPTED.items() for name in calls]
ALL_FAULTY = [(p, name) for p, calls in FAULTY.items() for name in calls]
OFTEN = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def account(provider: Provider) -> Account:
    found = Account(provider)
    prepared(found)
    return found


@pytest.fixture
def pristine(account: Account) -> str:
    """The state to begin every example with."""
    return json.dumps(account.sandbox.dump())


def drafts_of(account: Account, request: Request, schema: Schema) -> tuple[Draft, ...]:
    match = account.router.match(request.method, request.host, request.path)
    assert match is not None, request
    assert match.route.draft is not None, match.route.name
    return match.route.draft(request, match.variables, schema)


def meaning(account: Account, request: Request, response: Response, schema: Schema) -> Change:
    match = account.router.match(request.method, request.host, request.path)
    assert match is not None
    assert match.route.read is not None
    if not response.ok:
        return NO_CHANGE
    return match.route.read(Exchange(request, response, match.variables), schema)


def faults_of(drafts: tuple[Draft, ...]) -> list[str]:
    return [fault for draft in drafts for fault in draft.faults]


def test_every_route_that_changes_something_has_a_draft_and_no_other(provider: Provider):
    for route in provider.routes:
        assert (route.draft is None) == (route.action is Action.READ), route.name


@pytest.mark.parametrize(
    ("name", "case"), ALL_ACCEPTED, ids=[f"{p}: {c}" for p, c in ALL_ACCEPTED]
)
def test_drafts_agree_with_what_the_answer_means(name: str, case: str):
    account = Account(PROVIDERS[name])
    prepared(account)
    schema = Schema(account.discover())
    request = call(name, *ACCEPTED[name][case])
    drafts = drafts_of(account, request, schema)
    response = account.call(request)
    assert response.ok, response.body
    assert faults_of(drafts) == []
    change = meaning(account, request, response, schema)
    assert disagreements(drafts, change, whole=True) == []


@pytest.mark.parametrize(("name", "case"), ALL_FAULTY, ids=[f"{p}: {c}" for p, c in ALL_FAULTY])
def test_what_is_a_fault_the_api_refuses_and_the_sentence_names_it(name: str, case: str):
    account = Account(PROVIDERS[name])
    line, body, said = FAULTY[name][case]
    request = call(name, line, body)
    faults = faults_of(drafts_of(account, request, Schema(account.discover())))
    assert any(said in fault for fault in faults), faults
    assert all(fault.endswith(".") for fault in faults)
    response = account.call(request)
    assert not response.ok or response.status == 207, response.body


@OFTEN
@given(data=st.data())
def test_no_fault_is_a_false_alarm_and_no_draft_says_what_does_not_happen(
    account: Account, pristine: str, data: st.DataObject
):
    account.sandbox.load(json.loads(pristine))
    schema = Schema(account.discover())
    request = call(account.provider.name, *data.draw(RANDOM[account.provider.name]))
    drafts = drafts_of(account, request, schema)
    response = account.call(request)
    whole = response.ok and response.status != 207
    if whole:
        assert faults_of(drafts) == [], response.body
    change = meaning(account, request, response, schema)
    assert disagreements(drafts, change, whole=whole) == []


def test_a_route_drafts_nothing_in_collections_that_the_schema_does_not_have(
    provider: Provider,
):
    account = Account(provider)
    for name, (line, body) in ACCEPTED[provider.name].items():
        drafts = drafts_of(account, call(provider.name, line, body), Schema(()))
        assert drafts == (), name


def drafters(provider: Provider) -> dict[Drafter, str]:
    """Each drafter of a provider, with a path of one of its routes."""
    found: dict[Drafter, str] = {}
    for route in provider.routes:
        if route.draft is not None:
            found.setdefault(route.draft, route.path)
    return found


def bodies(provider: Provider) -> st.SearchStrategy[bytes]:
    names = st.sampled_from(WORDS[provider.name])
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), names)
    values = st.recursive(
        scalars,
        lambda each: st.one_of(
            st.lists(each, max_size=4), st.dictionaries(names | st.text(), each, max_size=6)
        ),
        max_leaves=30,
    )
    return st.one_of(st.binary(max_size=200), values.map(lambda v: json.dumps(v).encode()))


@settings(OFTEN, max_examples=250)
@given(data=st.data())
def test_nothing_but_unreadable_is_ever_raised(account: Account, data: st.DataObject):
    provider = account.provider
    schema = Schema(account.discover())
    draft, path = data.draw(st.sampled_from([*drafters(provider).items()]))
    table = provider.sandbox.collections[0]
    spelling = st.sampled_from([table, "companies", "fldFiles000000000", "Files"]) | st.text()
    names = [part[1:-1].removesuffix("...") for part in path.split("/") if part[:1] == "{"]
    variables = {name: data.draw(spelling) for name in names}
    kind = data.draw(st.sampled_from(["application/json", "application/x-www-form-urlencoded"]))
    request = Request(
        data.draw(st.sampled_from(["POST", "PUT", "PATCH", "DELETE"])),
        provider.hosts[0],
        data.draw(st.sampled_from([sample(path), "/x?records[]=a&records=b&idProperty=email"])),
        headers(("Content-Type", kind)),
        data.draw(bodies(provider)),
    )
    try:
        drafts = draft(request, variables, schema)
    except Unreadable:
        return
    known = {c.id: c for c in schema.collections}
    for each in drafts:
        collection = known[each.collection]
        assert isinstance(each.kind, DraftKind)
        assert each.key is None or len(each.key) == len(collection.key)
        assert set(each.values) <= set(collection.by_id)
        assert len(each.faults) <= 30
        for text in (*each.faults, *(each.key or ()), *(each.match or ())):
            assert "\0" not in text
            text.encode()


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_body_that_cannot_be_read_is_unreadable(name: str):
    account = Account(PROVIDERS[name])
    line, _ = next(iter(ACCEPTED[name].values()))
    request = call(name, line)
    for body in (b'{"fields": ', b"\xff\xfe", b"[" * 100_000):
        broken = Request(request.method, request.host, request.target, request.headers, body)
        with pytest.raises(Unreadable):
            drafts_of(account, broken, Schema(account.discover()))


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_request_with_thousands_of_faults_is_told_some_of_them_quickly(name: str):
    account = Account(PROVIDERS[name])
    wrong = {f"wrong {n}" * 20: n for n in range(3_000)}
    body = {"fields": wrong, "properties": wrong}
    request = call(
        name, "POST /Tasks" if name == "airtable" else "POST /crm/v3/objects/0-1", body
    )
    (draft, *_) = drafts_of(account, request, Schema(account.discover()))
    assert 10 <= len(draft.faults) <= 30
    assert "2980 more" in draft.faults[-1]
    assert all(len(fault) < 1_000 for fault in draft.faults)

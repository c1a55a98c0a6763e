"""What every provider must be able to do with its own sandbox."""

from __future__ import annotations

import dataclasses

import pytest
from driving import Account, sample

from providers.http import Request
from providers.record import ColumnType, ImageKind
from providers.routing import Router
from providers.spec import Action, Provider, Refused, UnknownCollection, Unrecognised
from providers.values import fit


@pytest.fixture
def account(provider: Provider) -> Account:
    return Account(provider)


def test_discovery_finds_the_seeded_collections_under_every_spelling(account: Account):
    found = account.discover()
    for wanted, collection in zip(account.provider.sandbox.collections, found, strict=False):
        spellings = {collection.id, collection.name, collection.table_name}
        assert wanted in spellings | collection.aliases
    everything = account.converse(account.provider.discover(account.name, None))
    assert {c.id for c in found} <= {c.id for c in everything}


def test_a_collection_is_made_of_distinct_fields_and_keyed_by_some(account: Account):
    for collection in account.discover():
        ids = [field.id for field in collection.fields]
        assert len(ids) == len(set(ids))
        assert set(collection.key) <= set(ids)
        assert collection.key
        system = [field for field in collection.fields if field.id.startswith("$")]
        assert list(collection.fields[: len(system)]) == system
        assert all(field.column_name for field in system)
        assert all(isinstance(field.column_type, ColumnType) for field in collection.fields)


def test_discovery_of_an_unknown_collection_says_which_there_are(account: Account):
    with pytest.raises(UnknownCollection) as raised:
        account.converse(account.provider.discover(account.name, ("no such collection",)))
    assert raised.value.wanted == "no such collection"
    assert raised.value.available


def test_discovery_with_a_wrong_token_says_what_to_do(provider: Provider):
    stranger = Account(provider, token="not-a-token")
    with pytest.raises(Refused) as raised:
        stranger.converse(provider.discover(stranger.name, None))
    assert raised.value.response.status in (401, 403)
    assert raised.value.remedy


def test_a_token_leads_to_its_account(provider: Provider):
    account = Account(provider)
    if provider.identify is None:
        assert provider.account_variable is not None
        return
    assert account.converse(provider.identify(account.token)) == account.name
    stranger = Account(provider, token="not-a-token")
    with pytest.raises(Unrecognised):
        stranger.converse(provider.identify("not-a-token"))


def test_the_example_is_a_write_that_works_and_can_be_read_out(account: Account):
    example = account.provider.sandbox.example
    response, change = account.write(example.request)
    assert response.ok
    assert len(change.images) == 1
    assert not change.unmapped
    assert not change.schema_changed
    collections = {c.id: c for c in account.discover()}
    image = change.images[0]
    fields = collections[image.collection].by_id
    assert image.kind in (ImageKind.REPLACE, ImageKind.MERGE)
    assert not image.extra
    for field_id, value in image.values.items():
        assert fit(fields[field_id].column_type, value) == value
    assert "{schema}" in example.select
    assert example.select.format(schema="s", record_id=image.record_id)


def test_the_example_is_a_write_route_without_a_credential(provider: Provider):
    request = provider.sandbox.example.request
    match = Router(provider).match(request.method, request.host, request.path)
    assert match is not None
    assert match.route.action is Action.WRITE
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("secret", ["", "not-a-token"])
def test_a_call_without_a_good_token_is_refused_and_changes_nothing(
    provider: Provider, secret: str
):
    account = Account(provider)
    before = account.sandbox.dump()
    request = provider.sandbox.example.request
    answer = account.call_bare(provider.authorize(request, secret) if secret else request)
    assert answer.status == 401
    assert account.saved().sandbox.dump() == before


def test_a_record_read_again_is_the_record_that_was_written(account: Account):
    _, change = account.write(account.provider.sandbox.example.request)
    written = change.images[0]
    collection = {c.id: c for c in account.discover()}[written.collection]
    (image,) = account.converse(account.provider.read_records(collection, [written.key]))
    assert (image.collection, image.key) == (written.collection, written.key)
    assert image.kind is ImageKind.REPLACE
    if written.kind is ImageKind.REPLACE:
        assert image.values == written.values
    assert image.values.items() >= written.values.items()


def test_a_record_that_is_gone_reads_as_deleted(provider: Provider):
    elsewhere = Account(provider)
    _, change = elsewhere.write(provider.sandbox.example.request)
    written = change.images[0]
    fresh = Account(provider)
    collection = {c.id: c for c in fresh.discover()}[written.collection]
    (image,) = fresh.converse(provider.read_records(collection, [written.key]))
    assert image.kind is ImageKind.DELETE
    assert (image.collection, image.key) == (written.collection, written.key)


def test_many_records_are_read_in_one_conversation_one_image_each(account: Account):
    example = account.provider.sandbox.example.request
    keys = [_written_key(account, example, turn) for turn in range(3)]
    collection = _collection_of(account, example)
    images = account.converse(account.provider.read_records(collection, keys))
    assert [image.key for image in images] == keys
    assert account.converse(account.provider.read_records(collection, [])) == ()


def _written_key(account: Account, request: Request, turn: int) -> tuple[str, ...]:
    # Some APIs refuse a second record with the same unique value (HubSpot: the email).
    body = request.body.replace(b"@", b"+%d@" % turn)
    _, change = account.write(dataclasses.replace(request, body=body))
    return change.images[0].key


def _collection_of(account: Account, request: Request):
    _, change = Account(account.provider).write(request)
    return {c.id: c for c in account.discover()}[change.images[0].collection]


def test_a_saved_sandbox_goes_on_where_it_was(account: Account):
    _, change = account.write(account.provider.sandbox.example.request)
    written = change.images[0]
    other = account.saved()
    assert other.sandbox.dump() == account.sandbox.dump()
    collection = {c.id: c for c in other.discover()}[written.collection]
    (image,) = other.converse(account.provider.read_records(collection, [written.key]))
    assert image.kind is ImageKind.REPLACE
    assert image.values.items() >= written.values.items()


def test_a_sandbox_has_no_clock_and_no_dice(provider: Provider):
    answers = [Account(provider).call(provider.sandbox.example.request) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert list(answers[0].headers.items()) == list(answers[1].headers.items())


def test_the_sandbox_answers_every_route_of_the_table(account: Account):
    provider = account.provider
    for route in provider.routes:
        for path in (sample(route.path), _in_the_account(account, route.path)):
            for body in (b"", b"{}", b'{"records": 7, "inputs": [null]}', b"\xff"):
                method = "GET" if route.method == "*" else route.method
                host = route.host or provider.hosts[0]
                answer = account.call(Request(method, host, path, body=body))
                assert 200 <= answer.status < 500, (route.name, body, answer.body[:200])


def _in_the_account(account: Account, path: str) -> str:
    provider = account.provider
    names = {
        provider.account_variable: account.name,
        "table": provider.sandbox.collections[0],
        "type": provider.sandbox.collections[0],
    }
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    return sample(path)


def test_what_is_no_route_at_all_is_not_found(account: Account):
    answer = account.call(Request("GET", account.provider.hosts[0], "/no/such/path/anywhere"))
    assert answer.status == 404

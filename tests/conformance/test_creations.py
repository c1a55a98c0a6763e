"""What was created since a time can be found: a create may have lost its answer."""

from __future__ import annotations

from driving import MIDDAY, Account

from providers.record import Collection, ImageKind
from providers.spec import Provider


def example_collection(provider: Provider) -> Collection:
    account = Account(provider)
    _, change = account.write(provider.sandbox.example.request)
    return {c.id: c for c in account.discover()}[change.images[0].collection]


def test_a_created_record_is_found_as_reading_it_says(provider: Provider):
    account, collection = Account(provider), example_collection(provider)
    _, change = account.write(provider.sandbox.example.request)
    (image,) = account.converse(provider.list_created(collection, MIDDAY))
    assert (image.kind, image.key) == (ImageKind.REPLACE, change.images[0].key)
    (read,) = account.converse(provider.read_records(collection, [image.key]))
    assert image.values == read.values


def test_what_was_created_long_before_is_not(provider: Provider):
    account, collection = Account(provider), example_collection(provider)
    account.write(provider.sandbox.example.request)
    assert account.converse(provider.list_created(collection, MIDDAY + 3600)) == ()


def test_every_collection_can_be_asked(provider: Provider):
    account = Account(provider)
    for collection in account.converse(provider.discover(account.name, None)):
        assert account.converse(provider.list_created(collection, MIDDAY)) == ()

"""Images without fields that are not to be kept, for every provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from driving import Account
from writes import ACCEPTED, call, prepared

from providers.record import Collection, Field, Image
from providers.spec import Provider


@pytest.fixture
def written(provider: Provider) -> list[tuple[Collection, Image]]:
    """What the answers to all kinds of writes say of records, with their collections."""
    found: list[tuple[Collection, Image]] = []
    for line, body in ACCEPTED[provider.name].values():
        account = Account(provider)
        prepared(account)
        by_id = {collection.id: collection for collection in account.discover()}
        images = account.write(call(provider.name, line, body))[1].images
        found += [(by_id[image.collection], image) for image in images]
    assert sum(image.data is not None for _, image in found) > 5
    return found


def _ordinary(collection: Collection) -> list[Field]:
    return [f for f in collection.fields if not f.id.startswith("$")]


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from _keys(each)


def test_nothing_of_a_field_is_left_and_everything_else_is(
    provider: Provider, written: list[tuple[Collection, Image]]
):
    for collection, image in written:
        whole = provider.plain(collection, image.data)
        for field in _ordinary(collection):
            left = provider.without(collection, (field,))(image)
            assert dict(left.values) == {i: v for i, v in image.values.items() if i != field.id}
            assert left.record_id == image.record_id
            if image.data is not None:
                names = {*_keys(left.data), *left.extra}
                assert not names & {field.id, field.name}, field
                told = provider.plain(collection, left.data)
                missing = {n: v for n, v in whole.items() if n not in told}
                assert whole == {**told, **missing}
                assert missing.keys() <= {field.name}


def test_all_fields_can_be_left_out_and_a_record_remains(
    provider: Provider, written: list[tuple[Collection, Image]]
):
    for collection, image in written:
        left = provider.without(collection, _ordinary(collection))(image)
        assert all(field_id.startswith("$") for field_id in left.values)
        assert left.key == image.key


def test_what_has_an_unknown_name_is_left_out_where_fields_can_be_renamed(
    provider: Provider, written: list[tuple[Collection, Image]]
):
    collection, image = next((c, i) for c, i in written if i.data is not None)
    field = _ordinary(collection)[0]
    strange = replace(image, extra={"Never heard of": 1})
    left = provider.without(collection, (field,))(strange)
    kept = {"airtable": {}, "hubspot": {"Never heard of": 1}}[provider.name]
    assert dict(left.extra) == kept


def test_data_that_is_no_record_is_not_kept(
    provider: Provider, written: list[tuple[Collection, Image]]
):
    collection, image = written[0]
    without = provider.without(collection, _ordinary(collection)[:1])
    assert without(replace(image, data="all of it in one text")).data is None
    assert without(replace(image, data={"fields": "a", "properties": "b"})).data in (
        {"fields": "a"},
        {"properties": "b"},
    )

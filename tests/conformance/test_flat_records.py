"""What every provider's records look like in the flat shape, against its own sandbox."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from driving import Account

from providers.plain import public_names
from providers.record import JSON, Collection, ColumnType, Image, ImageKind
from providers.spec import Provider

NO_RECORDS: tuple[JSON, ...] = (None, 17, "text", [], {}, {"id": 3.5}, {"fields": {}})


@pytest.fixture
def account(provider: Provider) -> Account:
    account = Account(provider)
    assert account.call(provider.sandbox.example.request).ok
    return account


@pytest.fixture
def records(account: Account) -> list[tuple[Collection, Image]]:
    """Every record of the seeded account, with its collection."""
    everything = account.converse(account.provider.discover(account.name, None))
    found = [(c, image) for c in everything for image in _listed(account, c)]
    assert len({collection.id for collection, _ in found}) > 1
    return found


def _listed(account: Account, collection: Collection) -> Iterator[Image]:
    after: str | None = None
    while True:
        page = account.converse(account.provider.list_page(collection, after, True))
        yield from (i for i in page.change.images if i.kind is ImageKind.REPLACE)
        after = page.after
        if after is None:
            return


def test_a_flat_record_says_what_the_image_says_under_the_fields_names(
    provider: Provider, records: list[tuple[Collection, Image]]
):
    for collection, image in records:
        told = provider.plain(collection, image.data)
        names = public_names(collection)
        assert next(iter(told)) == "id"
        assert told["id"] == image.record_id
        for field_id, value in image.values.items():
            field = collection.by_id[field_id]
            if names[field_id] in told and field.name not in image.extra:
                assert _same(field.column_type, told[names[field_id]], value), field
            else:
                assert value in (None, field.empty)
        assert told.keys() - {*names.values(), "id"} == image.extra.keys() - names.keys()


def _same(column_type: ColumnType, told: Any, value: Any) -> bool:
    if value is None:
        return told is None
    if column_type is ColumnType.NUMERIC:
        is_number = isinstance(told, int | float) and not isinstance(told, bool)
        return is_number and Decimal(str(told)) == Decimal(str(value))
    if column_type is ColumnType.TIMESTAMPTZ:
        assert told.endswith("Z")
        return datetime.fromisoformat(told) == datetime.fromisoformat(value)
    return bool(told == value)


def test_empty_fields_are_told_where_the_api_tells_them(
    provider: Provider, records: list[tuple[Collection, Image]]
):
    told = [provider.plain(collection, image.data) for collection, image in records]
    has_empty = any(value is None for record in told for value in record.values())
    assert has_empty is not provider.omits_empty


def test_the_names_of_a_flat_record_are_unique(
    provider: Provider, records: list[tuple[Collection, Image]]
):
    for collection in {id(c): c for c, _ in records}.values():
        names = public_names(collection)
        assert names.keys() == collection.by_id.keys()
        assert len(set(names.values())) == len(names)


def test_a_flat_record_is_json_and_leaves_its_source_alone(
    provider: Provider, records: list[tuple[Collection, Image]]
):
    for collection, image in records:
        before = copy.deepcopy(image.data)
        told = provider.plain(collection, image.data)
        assert json.loads(json.dumps(told)) == told
        assert provider.plain(collection, image.data) == told
        assert image.data == before


@pytest.mark.parametrize("data", NO_RECORDS, ids=str)
def test_what_is_no_record_is_told_as_nothing(
    provider: Provider, records: list[tuple[Collection, Image]], data: JSON
):
    for collection in {id(c): c for c, _ in records}.values():
        assert provider.plain(collection, data) == {}


def test_a_field_that_is_not_known_is_told_as_the_api_spelled_it(
    provider: Provider, records: list[tuple[Collection, Image]]
):
    collection, image = next((c, i) for c, i in records if len(c.key) == 1)
    assert isinstance(image.data, dict)
    inner = next(n for n in ("fields", "properties") if n in image.data)
    cells = image.data[inner]
    assert isinstance(cells, dict)
    unknown: dict[str, JSON] = {"Not known yet": "17", "id": "no id"}
    told = provider.plain(collection, {**image.data, inner: {**cells, **unknown}})
    assert told["Not known yet"] == "17"
    assert told["id"] == image.record_id

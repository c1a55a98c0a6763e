"""Records as Airtable spells them, read into images.

This is done for every record of every page of a backfill, so what depends on the table
alone is in `cells`, and a cell whose value is what its column takes is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from providers.airtable.cells import Cell, cells_of
from providers.airtable.fields import CREATED_TIME, column_fitter, settled
from providers.record import JSON, Collection, Image, ImageKind
from providers.spec import Unreadable
from providers.values import Misfit

_CREATED: Final = CREATED_TIME.id
_fit_created: Final = column_fitter(CREATED_TIME)


class RecordImage(NamedTuple):
    """An image, and what else reading the record told.

    `unknown`: the record named a field that the collection lacks; `settled`: no cell is
    still being worked on.
    """

    image: Image
    unknown: bool
    settled: bool


def record_images(
    collection: Collection, records: Iterable[Mapping[str, JSON]], by_id: Callable[[], bool]
) -> tuple[RecordImage, ...]:
    """The REPLACE image of each full record of one answer. Raises Unreadable.

    `by_id` tells how the request wanted the fields keyed. The answer has the last word:
    all its records are keyed alike, so the reading under which more of the keys are
    known wins, and the request decides where both do equally well (a field may be
    named like another's id). Mostly one of them knows them all, and the other none.
    """
    records = tuple(records)
    cells = cells_of(collection)
    if cells.distinct and records:
        first = next(iter(as_object(records[0].get("fields"))), "")
        read = _read(
            collection, records, cells.by_id if first in cells.by_id else cells.by_name
        )
        if not any(record.unknown for record in read):
            return read
    keys = {name for record in records for name in as_object(record.get("fields"))}
    ids = len(keys & cells.by_id.keys())
    names = len(keys & cells.by_name.keys())
    as_id = by_id() if ids == names else ids > names
    return _read(collection, records, cells.by_id if as_id else cells.by_name)


def listed_images(
    collection: Collection, records: Sequence[Mapping[str, JSON]]
) -> tuple[RecordImage, ...]:
    """The same for an answer that was asked for by field id. Raises Unreadable.

    If every key is a known id, no reading can know more of them.
    """
    read = _read(collection, records, cells_of(collection).by_id)
    if any(record.unknown for record in read):
        return record_images(collection, records, by_id=lambda: True)
    return read


def _read(
    collection: Collection, records: Iterable[Mapping[str, JSON]], known: Mapping[str, Cell]
) -> tuple[RecordImage, ...]:
    """The records' images; `known` is the collection's cells by the keys that they use."""
    blank = cells_of(collection).blank
    return tuple([_record_image(collection.id, record, known, blank) for record in records])


def _record_image(
    collection: str,
    record: Mapping[str, JSON],
    known: Mapping[str, Cell],
    blank: Mapping[str, JSON],
) -> RecordImage:
    """The REPLACE image of one full record. Raises Unreadable.

    Its `data` has the cells under ids, since a name may be another field's by the time they
    are told. What nobody knows yet stays under its name.
    """
    record_id = id_of(record)
    values, told = dict(blank), dict[str, JSON]()
    extra: dict[str, JSON] = {}
    unknown, is_settled = False, True
    for name, raw in as_object(record.get("fields")).items():
        cell = known.get(name)
        if cell is None:
            extra[name] = told[name] = raw
            unknown = True
            continue
        field_id, plain, fit, any_shape, field_name = cell
        told[field_id] = raw
        if type(raw) in plain:
            values[field_id] = raw
        elif raw is not None:
            try:
                values[field_id] = fit(raw)
            except Misfit:
                values[field_id], extra[field_name] = None, raw
                any_shape = True
            if any_shape and not settled(raw):
                is_settled = False
    values["$id"] = record_id
    made = record.get("createdTime")
    try:
        values[_CREATED] = None if made is None else _fit_created(made)
    except Misfit:
        extra[CREATED_TIME.name] = made
    image = Image(
        collection=collection,
        key=(record_id,),
        kind=ImageKind.REPLACE,
        values=values,
        extra=extra,
        data={**record, "fields": told},
    )
    return RecordImage(image, unknown, is_settled)


def records_in(answer: JSON) -> list[dict[str, JSON]]:
    """The records of a list answer. Raises Unreadable."""
    found = as_object(answer).get("records")
    if not isinstance(found, list):
        raise Unreadable("the answer lists no records")
    return [as_object(record) for record in found]


def as_object(value: JSON) -> dict[str, JSON]:
    """The value, if it is an object. Raises Unreadable."""
    if isinstance(value, dict):
        return value
    raise Unreadable("the answer is not of the shape that Airtable documents")


def id_of(record: Mapping[str, JSON]) -> str:
    """The record's id. Raises Unreadable."""
    found = record.get("id")
    if isinstance(found, str) and found:
        return found
    raise Unreadable("the answer has a record without an id")

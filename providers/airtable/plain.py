"""Airtable's records in the flat shape, as streams tell them."""

from __future__ import annotations

from providers.airtable.records import record_images
from providers.plain import flat
from providers.record import JSON, Collection
from providers.spec import Unreadable


def plain(collection: Collection, data: JSON) -> dict[str, JSON]:
    """A record as Airtable spelled it, flat; empty if it is no record.

    Fields may be keyed by id or by name. Empty cells are left out, as Airtable does.
    """
    if not isinstance(data, dict):
        return {}
    try:
        ((image, _, _),) = record_images(collection, (data,), by_id=lambda: True)
    except Unreadable:
        return {}
    return flat(collection, image.record_id, image.values, image.extra, omits_empty=True)

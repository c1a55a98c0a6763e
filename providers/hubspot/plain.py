"""HubSpot's records in the flat shape, as streams tell them, and those of associations.

HubSpot has no record of an association; ours is spelled like a result of its v4 API.
"""

from __future__ import annotations

from providers.hubspot.images import record_image
from providers.hubspot.objects import is_pair
from providers.hubspot.shapes import id_of
from providers.plain import flat
from providers.record import EMPTY, JSON, Collection


def plain(collection: Collection, data: JSON) -> dict[str, JSON]:
    """A record as HubSpot spelled it, flat; empty if it is no record.

    It has the properties that were told; a cleared one is null.
    """
    if not isinstance(data, dict):
        return {}
    if is_pair(collection):
        return _plain_pair(collection, data)
    image = record_image(collection, data)
    if image is None:
        return {}
    return flat(collection, image.record_id, image.values, image.extra)


def pair_data(key: tuple[str, ...], labels: JSON = None) -> dict[str, JSON]:
    """An association seen from its left; without `labels` where they were not told."""
    found: dict[str, JSON] = {"fromObjectId": key[0], "toObjectId": key[1]}
    return found if labels is None else {**found, "labels": labels}


def _plain_pair(pair: Collection, data: dict[str, JSON]) -> dict[str, JSON]:
    left, right = id_of(data.get("fromObjectId")), id_of(data.get("toObjectId"))
    if not (left and right):
        return {}
    values: dict[str, JSON] = dict(zip(pair.key, (left, right), strict=True))
    if isinstance(data.get("labels"), list):
        values["$labels"] = data["labels"]
    return flat(pair, f"{left}:{right}", values, EMPTY)

"""Reading records again, in full: one image per key, whatever became of the record.

Objects are read a hundred at a time with every property of their collection, so that
the image may replace the row. Who does not come back is asked for among the archived;
who is not there either is gone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Final

from providers.http import Request, Response
from providers.hubspot.calls import ask, post, segment
from providers.hubspot.images import gone_image, record_image
from providers.hubspot.objects import is_pair
from providers.hubspot.shapes import id_of, object_of, objects_of
from providers.record import JSON, Collection, Image, ImageKind

Keys = Sequence[tuple[str, ...]]
Reading = Generator[Request, Response, tuple[Image, ...]]

OBJECTS_AT_ONCE: Final = 100
PAIRS_AT_ONCE: Final = 1000


def read_records(collection: Collection, keys: Keys) -> Reading:
    """The records with these keys as REPLACE, ARCHIVE or DELETE images. Raises Refused.

    A key that was merged away is answered with DELETE, and with the record that it
    became if HubSpot tells.
    """
    found: list[Image] = []
    if is_pair(collection):
        for some in _chunks(list(dict.fromkeys(key[0] for key in keys)), PAIRS_AT_ONCE):
            wanted = [key for key in dict.fromkeys(keys) if key[0] in set(some)]
            found += yield from _read_pairs(collection, some, wanted)
    else:
        for some in _chunks(list(dict.fromkeys(key[0] for key in keys)), OBJECTS_AT_ONCE):
            found += yield from _read_objects(collection, some)
    return tuple(found)


def _chunks(ids: list[str], size: int) -> Iterable[list[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))


# --- objects ----------------------------------------------------------------------------


def _read_objects(collection: Collection, ids: list[str]) -> Reading:
    live = yield from _batch_read(collection, ids, archived=False)
    images = {
        i.key[0]: i for r in live if (i := record_image(collection, r, ImageKind.REPLACE))
    }
    missing = [i for i in ids if i not in images]
    if missing:
        old = yield from _batch_read(collection, missing, archived=True)
        archived = {id_of(record.get("id")) for record in old}
        for key in missing:
            kind = ImageKind.ARCHIVE if key in archived else ImageKind.DELETE
            if (image := gone_image(collection, key, kind)) is not None:
                images[key] = image
    return tuple(images.values())


def _batch_read(
    collection: Collection, ids: list[str], *, archived: bool
) -> Generator[Request, Response, list[dict[str, JSON]]]:
    properties: list[JSON] = [] if archived else list(collection.by_name)
    query = "?archived=true" if archived else ""
    body = yield from ask(
        post(
            f"/crm/v3/objects/{segment(collection.id)}/batch/read{query}",
            {"properties": properties, "inputs": [{"id": i} for i in ids]},
        )
    )
    return list(objects_of(body.get("results")))


# --- pairs ------------------------------------------------------------------------------


def _read_pairs(pair: Collection, left_ids: list[str], wanted: Keys) -> Reading:
    labels: dict[tuple[str, ...], list[JSON]] = {}
    inputs: list[dict[str, JSON]] = [{"id": i} for i in left_ids]
    while inputs:
        body = yield from ask(post(_pairs_path(pair), {"inputs": list(inputs)}))
        inputs = []
        for each in objects_of(body.get("results")):
            from_id = id_of(object_of(each.get("from")).get("id"))
            for to in objects_of(each.get("to")):
                labels[from_id, id_of(to.get("toObjectId"))] = _labels(to)
            after = object_of(object_of(each.get("paging")).get("next")).get("after")
            if id_of(after):
                inputs.append({"id": from_id, "after": id_of(after)})
    return tuple(_pair_image(pair, key, labels.get(key)) for key in wanted)


def _pairs_path(pair: Collection) -> str:
    left, right = pair.fields[0].type, pair.fields[1].type
    return f"/crm/v4/associations/{segment(left)}/{segment(right)}/batch/read"


def _labels(to: dict[str, JSON]) -> list[JSON]:
    """The names of the labels; the unlabelled types have none."""
    named = (each.get("label") for each in objects_of(to.get("associationTypes")))
    return [*sorted({label for label in named if isinstance(label, str) and label})]


def _pair_image(pair: Collection, key: tuple[str, ...], labels: list[JSON] | None) -> Image:
    if labels is None:
        return Image(pair.id, key, ImageKind.DELETE)
    left, right = pair.key
    values: dict[str, JSON] = {left: key[0], right: key[1], "$labels": labels}
    return Image(pair.id, key, ImageKind.REPLACE, values)

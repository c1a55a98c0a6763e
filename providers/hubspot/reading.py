"""Reading records again, in full: one image per key, whatever became of the record.

Objects are read a hundred at a time with every property of their collection, so that
the image may replace the row. Who does not come back is asked for among the archived,
whose values count too: a restored record has them. Who is not there either is gone.

Associations are read from the left end of their pair. What HubSpot tells of an archived
record's associations is documented nowhere, and a listing passes over such records: so a
pair counts only while its left record is live, whatever is told of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Final

from providers.http import Request, Response
from providers.hubspot.calls import ask_for_many, post, segment
from providers.hubspot.images import gone_image, record_image
from providers.hubspot.objects import is_pair
from providers.hubspot.plain import pair_data
from providers.hubspot.shapes import id_of, object_of, objects_of
from providers.record import JSON, Collection, Image, ImageKind

Keys = Sequence[tuple[str, ...]]
Key = tuple[str, ...]
Reading = Generator[Request, Response, tuple[Image, ...]]
Links = dict[Key, list[JSON]]  # the ids at both ends -> labels
Inputs = list[dict[str, str]]  # {"id"}, or {"id", "after"} for the rest of many

OBJECTS_AT_ONCE: Final = 100
PAIRS_AT_ONCE: Final = 1000


def read_records(collection: Collection, keys: Keys) -> Reading:
    """The records with these keys as REPLACE or DELETE images; an archived one is a
    REPLACE that says so. Raises Refused.

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
    """Live ones, archived ones, and once more live ones: who is restored between the
    first two reads would be in neither."""
    images: dict[str, Image] = {}
    for archived in (False, True, False):
        missing = [i for i in ids if i not in images]
        if missing:
            names = [*collection.by_name]
            read = yield from batch_read(collection.id, missing, names, archived=archived)
            for record in read:
                if (image := record_image(collection, record, ImageKind.REPLACE)) is not None:
                    images[image.key[0]] = image
    gone = (gone_image(collection, i, ImageKind.DELETE) for i in ids if i not in images)
    return (*images.values(), *(image for image in gone if image is not None))


def batch_read(
    objects: str, ids: list[str], properties: Sequence[str], *, archived: bool = False
) -> Generator[Request, Response, list[dict[str, JSON]]]:
    """Those of an object type's records (a hundred at most) that there are.

    Raises Refused if HubSpot leaves one out for any other reason.
    """
    path = f"/crm/v3/objects/{segment(objects)}/batch/read"
    body = yield from ask_for_many(
        post(
            f"{path}?archived=true" if archived else path,
            {"properties": [*properties], "inputs": [{"id": i} for i in ids]},
        )
    )
    return list(objects_of(body.get("results")))


# --- pairs ------------------------------------------------------------------------------


def _read_pairs(pair: Collection, left_ids: list[str], wanted: Keys) -> Reading:
    links: Links = {}
    inputs: Inputs = [{"id": i} for i in left_ids]
    while inputs:
        more, inputs = yield from read_links(pair, inputs)
        links |= more
    live = yield from _live(pair, [*dict.fromkeys(key[0] for key in wanted if key in links)])
    return tuple(
        Image(pair.id, key, ImageKind.DELETE)
        if (labels := links.get(key)) is None or key[0] not in live
        else pair_image(pair, key, labels)
        for key in wanted
    )


def _live(pair: Collection, ids: list[str]) -> Generator[Request, Response, set[str]]:
    """Those of the ids at a pair's left that a listing of their type would show."""
    found: set[str] = set()
    for some in _chunks(ids, OBJECTS_AT_ONCE):
        records = yield from batch_read(pair.fields[0].type, some, ("hs_object_id",))
        found |= {id_of(record.get("id")) for record in records}
    return found


def read_links(
    pair: Collection, inputs: Inputs
) -> Generator[Request, Response, tuple[Links, Inputs]]:
    """What belongs to these records at the pair's left, and what to ask for the rest.

    A record that has many is told of in part, with the input that asks for more of it.
    Raises Refused.
    """
    left, right = pair.fields[0].type, pair.fields[1].type
    path = f"/crm/v4/associations/{segment(left)}/{segment(right)}/batch/read"
    listed: list[JSON] = [{**each} for each in inputs]
    body = yield from ask_for_many(post(path, {"inputs": listed}))
    links: Links = {}
    rest: Inputs = []
    for each in objects_of(body.get("results")):
        from_id = id_of(object_of(each.get("from")).get("id"))
        for to in objects_of(each.get("to")):
            if from_id and (to_id := id_of(to.get("toObjectId"))):
                links[from_id, to_id] = _labels(to)
        after = id_of(object_of(object_of(each.get("paging")).get("next")).get("after"))
        if from_id and after:
            rest.append({"id": from_id, "after": after})
    return links, rest


def _labels(to: dict[str, JSON]) -> list[JSON]:
    """The names of the labels; the unlabelled types have none."""
    named = (each.get("label") for each in objects_of(to.get("associationTypes")))
    return [*sorted({label for label in named if isinstance(label, str) and label})]


def pair_image(pair: Collection, key: Key, labels: list[JSON]) -> Image:
    """REPLACE of the row of two ids."""
    left, right = pair.key
    values: dict[str, JSON] = {left: key[0], right: key[1], "$labels": labels}
    return Image(pair.id, key, ImageKind.REPLACE, values, data=pair_data(key, labels))

"""Images without the fields that a user does not want to be kept.

`Provider.without` is made here: a provider says where in its records fields stand, and
whether they are named by what their users call them. Then an unknown name may be the new
one of a field that is not to be kept: what stands under it is left out, too, until the
fields are discovered again and the records read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from providers.record import JSON, Collection, Field, Image

Without = Callable[[Image], Image]


def without(
    collection: Collection, fields: Sequence[Field], *, members: Sequence[str], renames: bool
) -> Without:
    """What makes of an image one that holds nothing of some fields.

    Neither its values nor what is extra nor its data (in whose `members` fields stand, by
    name or by id) have anything of them then. `renames`: see above. The collection is as it
    is known now; an image may have been read when it was known otherwise.
    """
    ids = {field.id for field in fields}
    dropped = ids.union(field.name for field in fields)
    others = [field for field in collection.fields if field.id not in ids]
    known = {field.id for field in others}.union(field.name for field in others) - dropped

    def kept(name: str) -> bool:
        return name in known if renames else name not in dropped

    def left(image: Image) -> Image:
        return replace(
            image,
            values={name: value for name, value in image.values.items() if name not in ids},
            extra={name: value for name, value in image.extra.items() if kept(name)},
            data=_data(image.data, members, kept),
        )

    return left


def _data(data: JSON, members: Sequence[str], kept: Callable[[str], bool]) -> JSON:
    if not isinstance(data, dict):
        return None
    found = {name: value for name, value in data.items() if name not in members}
    for member in members:
        there = data.get(member)
        if isinstance(there, dict):
            found[member] = {name: value for name, value in there.items() if kept(name)}
    return found

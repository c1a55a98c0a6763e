"""Do a request's drafts say what its answer turned out to mean?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from providers.record import JSON, Change, Dirty, Image, ImageKind
from providers.spec import Draft, DraftKind

GONE = (ImageKind.ARCHIVE, ImageKind.DELETE)


def disagreements(drafts: Sequence[Draft], change: Change, *, whole: bool) -> list[str]:
    """What the change holds and the drafts do not tell, or tell otherwise.

    `whole`: all of the request was done, so that each draft has its image, in their order.
    """
    found = [f"{i!r} was not told" for i in change.images if not _told(drafts, i)]
    found += [f"{d!r} was not told" for d in change.dirty if not _covered(drafts, d)]
    own = [draft for draft in drafts if draft.kind is not DraftKind.TOUCH]
    meant = {draft.collection for draft in own}
    images = [image for image in change.images if image.collection in meant]
    if own and whole:
        if len(own) != len(images):
            found.append(f"{len(own)} drafts became {len(images)} images")
        for draft, image in zip(own, images, strict=False):
            found += _between(draft, image)
    return found


def _told(drafts: Sequence[Draft], image: Image) -> bool:
    return any(d.collection == image.collection and _names(d, image) for d in drafts)


def _names(draft: Draft, image: Image) -> bool:
    if draft.key is not None:
        # Two records that are merged become a third, whose id nobody knows before.
        merged = draft.kind is DraftKind.TOUCH and image.kind not in GONE
        return draft.key == image.key or merged
    return draft.match is None or image.match in (None, draft.match)


def _covered(drafts: Sequence[Draft], mark: Dirty) -> bool:
    of_it = [d for d in drafts if d.collection == mark.collection]
    return any(d.key is None or d.key == mark.key for d in of_it) or (
        mark.key is not None and any(d.kind is DraftKind.TOUCH for d in of_it)
    )


def _between(draft: Draft, image: Image) -> Iterator[str]:
    if (draft.kind is DraftKind.DELETE) != (image.kind in GONE):
        yield f"{draft.kind} became {image.kind}"
    if draft.key is not None and draft.key != image.key:
        yield f"{draft.key} became {image.key}"
    named_by, name = draft.match or ("", "")
    # What a record is named by may be changed by the same request.
    if str(image.values.get(named_by, name)) not in (name, draft.values.get(named_by)):
        yield f"{draft.match} became {image.values.get(named_by)!r}"
    for field, value in draft.values.items():
        if field in image.values:
            if not _holds(image.values[field], value):
                yield f"{field}: {value!r} became {image.values[field]!r}"
        elif field != named_by:  # an answer need not tell what the record was named by
            yield f"{field} is not in the image"


def _holds(found: JSON, meant: JSON) -> bool:
    """Whether a value is as it was meant; the API may complete an object, and has urls of
    its own for files."""
    if isinstance(meant, list) and isinstance(found, list) and len(meant) == len(found):
        return all(map(_holds, found, meant))
    if isinstance(meant, dict) and isinstance(found, dict):
        return all(_holds(found.get(n), v) for n, v in meant.items() if n != "url")
    return type(found) is type(meant) and found == meant

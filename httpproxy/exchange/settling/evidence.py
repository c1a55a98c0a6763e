"""Was a write applied whose answer was lost? What reading the records again tells.

    applied   what the request was meant to do is there
    absent    it is not: nothing was changed, nothing new is there
    unclear   neither can be said

Only who sent an `Idempotency-Key` is told; the rows are right in any case, for what was
read is committed. `absent` lets the call be sent once more, so it takes certainty: a new
record that is a little different may be ours, spelled anew by the API, and values that are
not there may have been written over. A record that another call of the application made is
never ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from httpproxy.store.intents.values import Outcome
from httpproxy.store.layouts.tables import is_deleted
from providers.record import JSON, Image
from providers.spec import Draft, DraftKind

CLOCKS_DIFFER: Final = 60.0  # seconds, ours and the API's


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a write, and the ids of the records that show it."""

    outcome: Outcome
    records: tuple[str, ...] = ()


def judge(
    drafts: Sequence[Draft],
    named: Iterable[Image],
    created: Iterable[Image],
    began_at: float,
) -> Judgement:
    """What became of the drafts; of what they change on the side nothing can be said.

    `named` are images of the records that the drafts name, `created` those of records
    that were made since, without those of other calls. The call began at `began_at`, in
    epoch seconds.
    """
    told = [draft for draft in drafts if draft.kind is not DraftKind.TOUCH]
    if not told:
        return Judgement("unclear")
    now = {(image.collection, image.key): image for image in named}
    left = list(created)
    found = [_judged(draft, now, left, began_at) for draft in told]
    outcomes = {judgement.outcome for judgement in found}
    records = tuple(record for judgement in found for record in judgement.records)
    return Judgement(outcomes.pop() if len(outcomes) == 1 else "unclear", records)


def _judged(
    draft: Draft,
    now: Mapping[tuple[str, tuple[str, ...]], Image],
    left: list[Image],
    began_at: float,
) -> Judgement:
    if draft.key is None:
        return _made(draft, left)
    image = now.get((draft.collection, draft.key))
    if image is None:
        return Judgement("unclear")
    gone, record = is_deleted(image), (image.record_id,)
    if draft.kind is DraftKind.DELETE:
        return Judgement("applied" if gone else "absent", record)
    if not gone and _shows(image, draft.values):
        return Judgement("applied", record)
    # It may have been applied, and written over since.
    return Judgement("absent" if _stood_before(image, began_at) else "unclear", record)


def _made(draft: Draft, left: list[Image]) -> Judgement:
    """Whether one of the new records is the draft's; it is then taken out of `left`."""
    ours = [image for image in left if image.collection == draft.collection]
    for image in ours:
        if _shows(image, draft.values):
            left.remove(image)
            return Judgement("applied", (image.record_id,))
    # An upsert may have changed a record that was there before.
    absent = draft.kind is DraftKind.CREATE and not ours
    return Judgement("absent" if absent else "unclear")


def _stood_before(image: Image, began_at: float) -> bool:
    """Whether the record's version is certainly older than the call."""
    try:
        version = datetime.fromisoformat(image.updated_at or "").timestamp()
    except ValueError:
        return False
    return version < began_at - CLOCKS_DIFFER


def _shows(image: Image, values: Mapping[str, JSON]) -> bool:
    return all(_same(image.values.get(name), value) for name, value in values.items())


def _same(found: JSON, meant: JSON) -> bool:
    """Whether a column would hold the same: 1, 1.0 and "1.00" are one number, and what an
    API adds to an object (a collaborator's name, an attachment's id) is its own."""
    if found == meant or (_is_empty(found) and _is_empty(meant)):
        return True
    if isinstance(meant, dict):
        return isinstance(found, dict) and _holds(found, meant)
    if isinstance(meant, list):
        return (
            isinstance(found, list)
            and len(found) == len(meant)
            and all(_same(*pair) for pair in zip(found, meant, strict=True))
        )
    numbers = [_number(value) for value in (found, meant)]
    return None not in numbers and numbers[0] == numbers[1]


def _holds(found: Mapping[str, JSON], meant: Mapping[str, JSON]) -> bool:
    """An address is no evidence: the API fetches what is there and keeps it elsewhere."""
    return all(name == "url" or _same(found.get(name), v) for name, v in meant.items())


def _is_empty(value: JSON) -> bool:
    return value is None or value is False or value in ("", [])


def _number(value: JSON) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None

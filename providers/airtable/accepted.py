"""What Airtable will make of a written cell, told from the value alone.

A table says for each type which values it takes as they are. Any other is refused, unless
`typecast` is set: then Airtable makes something of it, and nobody can say what before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from providers.airtable.fields import LINK, column_fitter
from providers.drafting import Refusable, Unsure
from providers.record import JSON, Field
from providers.values import Misfit
from providers.wording import listing, quoted


class Takes(NamedTuple):
    """The values that a type takes as they are, and how to say so.

    `spelled` gives such a value as an answer has it; it may raise Unsure.
    """

    natural: Callable[[JSON], bool]
    said: str
    castable: bool = True
    spelled: Callable[[JSON], JSON] = lambda value: value


def drafted(field: Field, value: JSON, *, typecast: bool) -> JSON:
    """The value as its column will have it. Raises Refusable, Unsure."""
    if not field.writable:
        raise Refusable(f"{quoted(field.name)} is computed by Airtable: leave it out.")
    if value is None:
        return field.empty
    takes = _TAKES.get(field.type.partition(":")[0])
    if takes is None:
        return value
    if not takes.natural(value):
        if typecast:
            raise Unsure
        cast = ", or set typecast" if takes.castable else ""
        raise Refusable(f"{quoted(field.name)} takes {takes.said}{cast}.")
    if not typecast:
        _refuse_unknown_option(field, value)
    elif takes is _TAKES[LINK] and not _are_ids(value):
        raise Unsure  # names of records, which may have to be made
    if value is False or value in ("", []):
        return field.empty
    try:
        return column_fitter(field)(takes.spelled(value))
    except Misfit as misfit:
        raise Unsure from misfit


def _refuse_unknown_option(field: Field, value: JSON) -> None:
    if field.options is None:
        return
    known = frozenset(field.options)
    for name in value if isinstance(value, list) else [value]:
        if isinstance(name, str) and name and name not in known:
            raise Refusable(
                f"{quoted(field.name)} has no option {quoted(name)}; there are:"
                f" {listing(field.options)}. Use one of them, or set typecast to have it made."
            )


def _is_text(value: JSON) -> bool:
    return isinstance(value, str)


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flag(value: JSON) -> bool:
    return isinstance(value, bool)


def _are(one: Callable[[JSON], bool]) -> Callable[[JSON], bool]:
    return lambda value: isinstance(value, list) and all(map(one, value))


def _has(*names: str) -> Callable[[JSON], bool]:
    """Whether a value is an object with a text under one of these names."""
    return lambda value: (
        isinstance(value, dict)
        and any(isinstance(value.get(name), str) and value[name] for name in names)
    )


def _is_link(value: JSON) -> bool:
    return isinstance(value, str) or _has("id")(value)


def _are_ids(value: JSON) -> bool:
    return all(str(each).startswith("rec") for each in _ids(value))


def _ids(value: JSON) -> list[JSON]:
    links = value if isinstance(value, list) else []
    return [each["id"] if isinstance(each, dict) else each for each in links]


def _moment(value: JSON) -> JSON:
    """As Airtable answers. Without an offset the time zone of the field decides."""
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is None:
            raise Unsure
        there = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unsure from error
    return f"{there:%Y-%m-%dT%H:%M:%S}.{there.microsecond // 1000:03}Z"


def _distinct(value: JSON) -> JSON:
    names = value if isinstance(value, list) else []
    if len({name for name in names if isinstance(name, str)}) < len(names):
        raise Unsure
    return value


def _linked(value: JSON) -> JSON:
    return _distinct(_ids(value))


def _rating(value: JSON) -> JSON:
    if not value:
        raise Unsure  # there is no rating of nothing
    return value


_TEXT: Final = Takes(_is_text, "text: send a string")
_NUMBER: Final = Takes(_is_number, "a number: send it without quotes")

_TAKES: Final[Mapping[str, Takes]] = {
    "singleLineText": _TEXT,
    "multilineText": _TEXT,
    "richText": _TEXT,
    "email": _TEXT,
    "url": _TEXT,
    "phoneNumber": _TEXT,
    "number": _NUMBER,
    "currency": _NUMBER,
    "percent": _NUMBER,
    "duration": _NUMBER,
    "rating": _NUMBER._replace(spelled=_rating),
    "checkbox": Takes(_is_flag, "true or false"),
    "date": Takes(_is_text, 'a date as text, such as "2026-12-24"', castable=False),
    "dateTime": Takes(
        _is_text,
        'a moment as text, such as "2026-12-24T09:30:00Z"',
        castable=False,
        spelled=_moment,
    ),
    "singleSelect": Takes(_is_text, "the name of one option"),
    "multipleSelects": Takes(_are(_is_text), "a list of names of options", spelled=_distinct),
    LINK: Takes(_are(_is_link), "a list of record ids", spelled=_linked),
    "singleCollaborator": Takes(_has("id", "email"), "an object with `id` or `email`"),
    "multipleCollaborators": Takes(
        _are(_has("id", "email")), "a list of objects with `id` or `email`"
    ),
    "multipleAttachments": Takes(
        _are(_has("id", "url")),
        "a list of objects with `url`, or with the `id` of those that are to stay",
        castable=False,
    ),
    "barcode": Takes(_has("text"), "an object with `text`", castable=False),
}

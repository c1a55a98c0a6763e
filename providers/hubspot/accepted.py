"""What HubSpot will make of a written property value, told from the value alone.

Every value is a text to HubSpot. A table says for each property type which texts it
refuses; what a text becomes is what the answers' readers make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import orjson

from providers.drafting import Refusable, Unsure
from providers.hubspot.fields import reader
from providers.record import JSON, ColumnType, Field
from providers.values import Misfit
from providers.wording import listing, quoted

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


class Takes(NamedTuple):
    """Which texts a property type takes, and how to say so."""

    fits: Callable[[str], bool]
    said: str


def drafted(field: Field, value: JSON) -> JSON:
    """The value as its column will have it. Raises Refusable, Unsure."""
    if not field.writable:
        raise Refusable(f"{quoted(field.name)} is read-only: leave it out.")
    if isinstance(value, dict | list):
        raise Unsure
    text = as_text(value)
    if not text:
        return None
    if field.id == "email":
        text = _email(text)
    type_, _, edited_as = field.type.partition("/")
    takes = _TAKES.get(type_)
    if takes is not None and not takes.fits(text):
        raise Refusable(f"{quoted(field.name)} takes {takes.said}.")
    if field.options is not None:
        _refuse_unknown_option(field, field.options, text, many=edited_as == "checkbox")
    if edited_as == "checkbox" and text.startswith(";"):
        raise Unsure  # these are added to what the record has
    try:
        value = reader(field.column_type)(text)
    except Misfit as misfit:
        raise Unsure from misfit
    return _in_utc(value) if field.column_type is ColumnType.TIMESTAMPTZ else value


def as_text(value: JSON) -> str:
    """A value that is no object and no list as HubSpot reads it; "" clears."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def _in_utc(value: JSON) -> JSON:
    """The moment as answers tell it, to the millisecond."""
    try:
        moment = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unsure from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000).isoformat()


def _email(text: str) -> str:
    if "@" not in text:
        raise Refusable(f'{quoted("email")} takes an address, such as "ada@example.com".')
    return text.lower()


def _refuse_unknown_option(
    field: Field, options: tuple[str, ...], text: str, *, many: bool
) -> None:
    known = {option.lower() for option in options}
    for name in text.split(";") if many else [text]:
        if name and name.lower() not in known:
            raise Refusable(
                f"{quoted(field.name)} has no option {quoted(name)}; there are:"
                f" {listing(options)}. Use one of them, or add the option to the property."
            )


def _is_number(text: str) -> bool:
    # Thousands may be set apart; what becomes of that is not documented.
    for spelling in (text, text.replace(",", "").replace(" ", "")):
        try:
            return Decimal(spelling).is_finite()
        except InvalidOperation:
            continue
    return False


def _is_flag(text: str) -> bool:
    return text.lower() in ("true", "false")


def _moment(text: str) -> datetime | None:
    """The moment of either spelling; None if it is none."""
    try:
        if text.removeprefix("-").isdecimal():
            return _EPOCH + timedelta(milliseconds=int(text))
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _is_moment(text: str) -> bool:
    return _moment(text) is not None


def _is_day(text: str) -> bool:
    moment = _moment(text)
    return moment is not None and not (moment - _EPOCH) % _DAY


_TAKES: Final[Mapping[str, Takes]] = {
    "number": Takes(_is_number, "a number"),
    "bool": Takes(_is_flag, "true or false"),
    "date": Takes(
        _is_day, 'a day, such as "2026-12-24", or its midnight in UTC as milliseconds'
    ),
    "datetime": Takes(
        _is_moment, 'a moment, such as "2026-12-24T09:30:00Z", or milliseconds since 1970'
    ),
}

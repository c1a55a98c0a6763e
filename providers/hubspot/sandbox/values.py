"""Property values as HubSpot checks, normalises and keeps them: strings, all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

import orjson

from providers.hubspot.sandbox.errors import wrong_values
from providers.hubspot.sandbox.state import Definition, ObjectKind, Portal, stamp
from providers.record import JSON

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DAY: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Values = dict[str, str | None]


class Wrong(ValueError):
    """A value that the property does not take: HubSpot's code and sentence."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error, self.message = error, message


def checked(portal: Portal, kind: ObjectKind, given: Mapping[str, JSON]) -> Values:
    """The values to keep; None clears. Raises ApiError with every problem there is."""
    problems: list[Mapping[str, JSON]] = []
    found: Values = {}
    for name, value in given.items():
        try:
            found[name] = _checked(kind.properties.get(name), name, value)
        except Wrong as wrong:
            problems.append(
                {
                    "message": wrong.message,
                    "error": wrong.error,
                    "name": name,
                    "localizedErrorMessage": wrong.message,
                    "portalId": portal.id,
                }
            )
    if problems:
        raise wrong_values(problems)
    return found


def _checked(definition: Definition | None, name: str, value: JSON) -> str | None:
    if definition is None:
        raise Wrong("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    metadata = definition.get("modificationMetadata")
    if isinstance(metadata, dict) and metadata.get("readOnlyValue") is True:
        raise Wrong(
            "READ_ONLY_VALUE",
            f'"{name}" is a read only property; its value cannot be set.',
        )
    text = as_text(value)
    if text == "":
        return None
    if name == "email":
        return _email(text)
    check = _CHECKS.get(str(definition["type"]))
    return text if check is None else check(definition, text)


def as_text(value: JSON) -> str:
    """What HubSpot makes of a JSON value that is not a string."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return orjson.dumps(value).decode()


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise Wrong("INVALID_EMAIL", f"Email address {text} is invalid")
    return text.lower()


def _number(_definition: Definition, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise Wrong("INVALID_NUMBER", f"{text} was not a valid number.") from error
    if not number.is_finite():
        raise Wrong("INVALID_NUMBER", f"{text} was not a valid number.")
    return text.strip()


def _bool(_definition: Definition, text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise Wrong("INVALID_BOOLEAN", f"{text} was not a valid boolean.")
    return text.lower()


def _date(_definition: Definition, text: str) -> str:
    moment = moment_of(text)
    if moment is None or moment % _DAY:
        raise Wrong("INVALID_DATE", f"{text} was not a valid date.")
    return (_EPOCH + timedelta(milliseconds=moment)).date().isoformat()


def _datetime(_definition: Definition, text: str) -> str:
    moment = moment_of(text)
    if moment is None:
        raise Wrong("INVALID_LONG", f"{text} was not a valid long.")
    return stamp(moment / 1000).replace(".000Z", "Z")


def _enumeration(definition: Definition, text: str) -> str:
    listed = definition.get("options")
    allowed = (
        [each["value"] for each in listed if isinstance(each, dict)]
        if isinstance(listed, list)
        else []
    )
    if not allowed:  # owners, and pipelines with their stages: options are elsewhere
        return text
    chosen = text.split(";") if definition.get("fieldType") == "checkbox" else [text]
    for option in chosen:
        if option and option not in allowed:
            raise Wrong(
                "INVALID_OPTION",
                f"{option} was not one of the allowed options: {allowed}",
            )
    return text


def moment_of(text: str) -> int | None:
    """Milliseconds since the epoch, of either spelling."""
    try:
        if text.removeprefix("-").isdecimal():
            number = int(text)
            stamp(number / 1000)
            return number
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


_CHECKS: Final[Mapping[str, Callable[[Definition, str], str]]] = {
    "number": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "enumeration": _enumeration,
}


def order_of(definition: Definition, text: str) -> int:
    """The place of an option in its property's list, -1 if it is not there."""
    listed = definition.get("options")
    found = (
        [each.get("value") for each in listed if isinstance(each, dict)]
        if isinstance(listed, list)
        else []
    )
    return found.index(text) if text in found else -1

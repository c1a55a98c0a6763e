"""What the documents of the API are made of: the base model, and the types they share.

Documents are strict: a number is no text, and a member that nobody knows is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
)

MOST_METADATA: Final = 16 * 1024  # bytes of JSON
MOST_NUMBER: Final = 2**63  # 1e30 would come back from Postgres as an integer of 31 digits
MAX_NAME: Final = 200


class Model(BaseModel):
    """A document, or a part of one."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True
    )


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(_written, when_used="json")]
"""A moment: ISO 8601, UTC, microseconds, "Z"."""


def _storable(text: str) -> str:
    if "\0" in text or not text.isprintable():
        raise ValueError("must not hold control characters")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""A text that Postgres and people can read."""

Name = Annotated[Text, Field(min_length=1, max_length=MAX_NAME)]


def _bounded(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    size = _size(value)
    if size > MOST_METADATA:
        raise ValueError(f"must be at most {MOST_METADATA} bytes of JSON")
    return value


def _size(value: JsonValue, depth: int = 0) -> int:
    """About how long the JSON is. Raises ValueError for what Postgres does not store."""
    if depth > 20:
        raise ValueError("must not be nested more than 20 deep")
    if isinstance(value, str):
        if "\0" in value or not value.encode("utf-8", "ignore").decode() == value:
            raise ValueError("must not hold NUL or half of a surrogate pair")
        return len(value.encode()) + 2
    if isinstance(value, list):
        return 2 + sum(1 + _size(each, depth + 1) for each in value)
    if isinstance(value, dict):
        members = value.items()
        return 2 + sum(2 + _size(k, depth) + _size(v, depth + 1) for k, v in members)
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("must not hold NaN or infinite numbers")
    if isinstance(value, int | float) and abs(value) >= MOST_NUMBER:
        raise ValueError("must not hold numbers of more than 64 bits; send them as texts")
    return len(str(value))


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_bounded)]
"""Members of the user's own, an object of JSON, at most 16 KB."""


class RateLimit(Model):
    """A rate limit: `allowed_requests` in any window of `interval` seconds."""

    allowed_requests: int = Field(ge=1, le=1_000_000_000)
    interval: float = Field(gt=0, le=86_400, allow_inf_nan=False, description="Seconds.")
    max_concurrent_requests: int = Field(
        0, ge=0, le=1_000_000, description="Calls at once; 0: no cap."
    )


class RateLimitPatch(Model):
    """A merge patch of a rate limit: what it does not name stays, or is the default's."""

    allowed_requests: int | None = Field(None, ge=1, le=1_000_000_000)
    interval: float | None = Field(None, gt=0, le=86_400, allow_inf_nan=False)
    max_concurrent_requests: int | None = Field(None, ge=0, le=1_000_000)


class Wrong(Model):
    """A member of a request that is not as it should be."""

    member: str = Field(description="The place in the body, or the parameter.")
    detail: str


def wrongs(error: ValidationError) -> list[Wrong]:
    """What is wrong with a document, member by member; nothing of the input is echoed."""
    return [
        Wrong(member=place(each["loc"]), detail=_said(each))
        for each in error.errors(include_url=False, include_input=False)
    ]


def place(parts: tuple[Any, ...]) -> str:
    """Where in a document: `rate_limit.interval`, `collection_ids[2]`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


_SAID: Final = {
    "missing": "is missing",
    "extra_forbidden": "is unknown: there is no such member",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "model_type": "must be an object",
}


def _said(error: Mapping[str, Any]) -> str:
    type_, bounds = error["type"], error.get("ctx", {})
    if type_ in _SAID:
        return _SAID[type_]
    if type_.endswith("too_short"):
        least = bounds.get("min_length", 1)
        return "must not be empty" if least == 1 else f"must have a length of at least {least}"
    if type_.endswith("too_long"):
        return f"must have a length of at most {bounds.get('max_length')}"
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input should ")
    return said if said.startswith("must ") else f"must {said}" if said[:3] == "be " else said

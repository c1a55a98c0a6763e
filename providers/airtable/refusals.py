"""How Airtable says no to a call of ours, in its own words, and what to do about it."""

from __future__ import annotations

from typing import Final

from providers.body import read_json
from providers.http import Response
from providers.spec import Refused, Unreadable

_TOKENS: Final = "(https://airtable.com/create/tokens)."
SCHEMA_REMEDY: Final = (
    f"The token must have the scope schema.bases:read and access to the base {_TOKENS}"
)
RECORDS_REMEDY: Final = (
    f"The token must have the scope data.records:read and access to the base {_TOKENS}"
)
WEBHOOKS_REMEDY: Final = (
    "The token must have the scope webhook:manage, and its user be a creator in the base "
    f"{_TOKENS}"
)

_REMEDIES: Final = {
    401: "The token is wrong, revoked or expired: make a new one and store it.",
    429: "Airtable's rate limit is spent: wait, or lower the rate of this sync.",
}


def said(response: Response) -> tuple[str, str]:
    """What an error answer says: (type, message); either may be empty.

    Airtable's `error` is an object with or without a message, or a string; on some
    429 answers it is within a list, `errors`; and the body need not be JSON.
    """
    try:
        answer = read_json(response)
    except Unreadable:
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error")
    errors = answer.get("errors")
    if error is None and isinstance(errors, list) and errors:
        error = errors[0]
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    kind = error.get("type") or error.get("error")
    return str(kind or ""), str(error.get("message") or "")


def words(response: Response) -> str:
    """What an error answer says, in one line; "" if it says nothing."""
    return ": ".join(part for part in said(response) if part)


def refused(response: Response, remedy: str) -> Refused:
    """An answer that is no 2xx, as the exception; `remedy` is for a lack of permission."""
    if response.status >= 500:
        remedy = "Airtable is in trouble: try again later."
    return Refused(
        response,
        words(response) or "Airtable refused",
        _REMEDIES.get(response.status, remedy),
    )


def unreadable(response: Response) -> Refused:
    """A 2xx that is not of the shape that Airtable documents, as the exception."""
    return Refused(
        response,
        "the answer cannot be read",
        "Something between here and Airtable may have answered in its place: check the "
        "upstream that is configured.",
    )


def is_missing(response: Response) -> bool:
    """Whether the answer says that what the path names is not there.

    Airtable tells a missing record, and one that the token may not see, by 404 or by one
    and the same 403.
    """
    if response.status == 403:
        return said(response)[0] == "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"
    return response.status == 404

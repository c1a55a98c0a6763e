"""How Airtable says no: statuses, types and texts of its error bodies.

Texts that Airtable documents are its own; where it documents none, they are ours and
clients should not read them.
"""

from __future__ import annotations

from providers.record import JSON


class Refusal(Exception):
    """The simulated Airtable refuses a call: a status and the body's `error`."""

    def __init__(self, status: int, error: JSON) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.error = error


def refusal(status: int, kind: str, message: str | None = None) -> Refusal:
    """A refusal whose `error` is an object, with or without a message."""
    if message is None:
        return Refusal(status, {"type": kind})
    return Refusal(status, {"type": kind, "message": message})


def not_found(*, as_string: bool = True) -> Refusal:
    return Refusal(404, "NOT_FOUND" if as_string else {"type": "NOT_FOUND"})


def no_model() -> Refusal:
    return refusal(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your "
        "user and your token have the required permissions, and that the model names "
        "and/or ids are correct.",
    )


def not_permitted(what: str = "perform this operation") -> Refusal:
    return refusal(403, "INVALID_PERMISSIONS", f"You are not permitted to {what}")


def unauthenticated() -> Refusal:
    return refusal(401, "AUTHENTICATION_REQUIRED", "Authentication required")


def bad_token() -> Refusal:
    return refusal(401, "UNAUTHORIZED", "Invalid authentication token")


def not_json() -> Refusal:
    return refusal(400, "INVALID_REQUEST_BODY", "Could not parse request body")


def url_too_long() -> Refusal:
    return refusal(414, "URI_TOO_LONG", "The request URL is longer than 16,000 characters")


def too_large() -> Refusal:
    return refusal(413, "REQUEST_TOO_LARGE", "The request exceeded the maximum allowed size")


def invalid(message: str = "") -> Refusal:
    return refusal(
        422,
        "INVALID_REQUEST_UNKNOWN",
        message or "Invalid request: parameter validation failed. Check your request data.",
    )


def missing_fields() -> Refusal:
    return refusal(
        422,
        "INVALID_REQUEST_MISSING_FIELDS",
        'Could not find field "fields" in the request body',
    )


def unknown_field(name: str) -> Refusal:
    return refusal(422, "UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')


def bad_value(name: str, why: str = "the provided value") -> Refusal:
    return refusal(422, "INVALID_VALUE_FOR_COLUMN", f'Field "{name}" cannot accept {why}')


def unknown_option(name: str) -> Refusal:
    return refusal(
        422,
        "INVALID_MULTIPLE_CHOICE_OPTIONS",
        f'Insufficient permissions to create new select option "{name}"',
    )


def no_row(record_id: str) -> Refusal:
    return refusal(422, "ROW_DOES_NOT_EXIST", f"Record ID {record_id} does not exist")


def bad_formula(why: str) -> Refusal:
    return refusal(
        422,
        "INVALID_FILTER_BY_FORMULA",
        f"The formula for filtering records is invalid: {why}",
    )


def no_iterator() -> Refusal:
    return refusal(422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")


def rate_limited() -> Refusal:
    return refusal(429, "RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later")


def quota_spent() -> Refusal:
    return refusal(
        429,
        "PUBLIC_API_BILLING_LIMIT_EXCEEDED",
        "The workspace has spent its API calls of this month",
    )

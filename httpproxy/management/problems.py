"""What the management of things cannot do, and why: a table, and the exception.

The API answers it as application/problem+json, the command line as a sentence.

    400   the request does not say what it should; `member` names the place
    401   no API key, or none that is valid
    403   the key does not allow it
    404   there is no such thing
    409   it is there already, or in use
    410   it was there
    412   it has changed meanwhile
    422   the API it is about said no
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """What stays the same whenever this problem occurs."""

    status: int
    title: str


PROBLEMS: Final[Mapping[str, Kind]] = {
    # the request
    "bad_parameter": Kind(400, "A parameter is missing or not valid"),
    "bad_request": Kind(400, "The request is not valid"),
    "bad_body": Kind(400, "The body is not valid"),
    "unknown_provider": Kind(400, "There is no such provider"),
    "unknown_kind": Kind(400, "There is no such kind of credential"),
    "account_missing": Kind(400, "Which account is not said"),
    "unknown_collection": Kind(400, "There is no such collection"),
    "key_required": Kind(401, "An API key is required"),
    "key_not_allowed": Kind(403, "The API key does not allow this"),
    "not_found": Kind(404, "There is nothing at this address"),
    "unknown_key": Kind(404, "There is no such API key"),
    "unknown_sync": Kind(404, "There is no such sync"),
    "unknown_credential": Kind(404, "There is no such credential"),
    "unknown_oauth_app": Kind(404, "There is no such OAuth app"),
    "unknown_event": Kind(404, "There is no such event"),
    "unknown_column": Kind(404, "There is no such column"),
    "unknown_replica": Kind(404, "There is no such replica"),
    "unknown_consumer": Kind(404, "There is no such consumer"),
    "method_not_allowed": Kind(405, "The method is not allowed"),
    "name_taken": Kind(409, "The name is taken"),
    "in_use": Kind(409, "It is in use"),
    "credential_missing": Kind(409, "The sync holds no credential"),
    "credential_unusable": Kind(409, "The stored credential cannot be used"),
    "nothing_held": Kind(409, "Nothing is held"),
    "cursor_expired": Kind(410, "What the cursor points to is not kept any more"),
    "idempotency_in_flight": Kind(409, "The first call with this key is under way"),
    "idempotency_uncertain": Kind(409, "The first call with this key is being looked into"),
    "changed_meanwhile": Kind(412, "It has changed meanwhile"),
    "body_too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body is of another type"),
    "idempotency_key_reused": Kind(422, "The key belongs to another call"),
    # what it is about
    "mutation_failed": Kind(422, "The API refused every record"),
    "api_refused": Kind(422, "The API said no"),
    "credential_refused": Kind(422, "The API does not know the credential"),
    "scope_missing": Kind(422, "The credential lacks a scope"),
    "other_account": Kind(422, "The credential opens another account"),
    # ourselves
    "internal_error": Kind(500, "The service failed"),
    "api_unreachable": Kind(502, "The API cannot be reached"),
    "token_not_refreshed": Kind(502, "The stored credential could not be refreshed"),
    "permit_timeout": Kind(504, "The rate limit left no room in time"),
    "upstream_timeout": Kind(504, "The API did not answer in time"),
    "secret_unreadable": Kind(500, "A stored secret cannot be opened"),
    "database_unavailable": Kind(503, "The database is unavailable"),
    "too_many_readers": Kind(503, "Too many readers are listening"),
}


# What may become of a call that an operation makes at the API.
CALL_PROBLEMS: Final = (
    "api_unreachable",
    "permit_timeout",
    "upstream_timeout",
    "credential_missing",
    "credential_unusable",
    "token_not_refreshed",
    "database_unavailable",
)


class Declined(Exception):
    """What is asked cannot be done. `code` is a key of PROBLEMS; `detail` names the remedy
    and never holds a secret.

    `member` is the parameter or the body's member that is wrong, in the form `a.b[0].c`;
    further `members` go into the problem document.
    """

    def __init__(
        self, code: str, detail: str, member: str | None = None, **members: Any
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail
        self.kind = PROBLEMS[code]
        self.members = {**({"member": member} if member else {}), **members}
        self.headers: dict[str, str] = {}

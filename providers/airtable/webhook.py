"""A webhook of the base, polled: it has no URL, so nothing needs to reach us.

Airtable keeps its payloads for seven days, numbers them without a gap, and forgets a
webhook that nobody polls for as long. A base has room for ten, and a token needs the
scope for it: so `create` also returns a refusal, for the caller to do without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from providers.airtable.calls import json_request, request
from providers.airtable.payloads import change_in, is_broken
from providers.airtable.refusals import WEBHOOKS_REMEDY, refused, unreadable
from providers.body import read_json
from providers.http import Response
from providers.record import JSON, Change
from providers.spec import Conversation, Refused, Unreadable

PAGE: Final = 50

_ALL: Final[list[JSON]] = ["tableData", "tableFields", "tableMetadata"]
_ASKED: Final[JSON] = {"specification": {"options": {"filters": {"dataTypes": _ALL}}}}

# Refusals that say nothing of webhooks: a bad token, a slow or a spent API.
_ELSEWHERE: Final = (401, 408, 429)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook by its id, and the number of the next payload to be heard."""

    id: str
    cursor: int = 1


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll told; `lost`: payloads before these were dropped by Airtable."""

    change: Change
    cursor: int
    more: bool
    lost: bool


def create(base: str) -> Conversation[Webhook | Refused]:
    """A new webhook, or the refusal if this token or base may not have one.

    `base` is a path segment. Raises Refused if Airtable is in trouble or knows no such token.
    """
    response = yield json_request("POST", f"/v0/bases/{base}/webhooks", _ASKED)
    if not response.ok:
        refusal = refused(response, WEBHOOKS_REMEDY)
        if _is_final(response):
            return refusal
        raise refusal
    try:
        answer = read_json(response)
    except Unreadable as error:
        raise unreadable(response) from error
    made = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(made, str) or not made:
        raise unreadable(response)
    return Webhook(made)


def poll(base: str, webhook: Webhook, tables: frozenset[str]) -> Conversation[Polled | None]:
    """What the webhook tells of these tables; None if it is gone or broken. Raises Refused."""
    target = f"{_path(base, webhook)}/payloads?cursor={webhook.cursor}&limit={PAGE}"
    response = yield request("GET", target)
    if not response.ok:
        if _is_final(response):
            return None
        raise refused(response, WEBHOOKS_REMEDY)
    try:
        return _polled(read_json(response), webhook, tables)
    except Unreadable as error:
        raise unreadable(response) from error


def delete(base: str, webhook: Webhook) -> Conversation[Response]:
    """Ends the webhook; the answer is for the caller to judge."""
    response = yield request("DELETE", _path(base, webhook))
    return response


def _path(base: str, webhook: Webhook) -> str:
    return f"/v0/bases/{base}/webhooks/{quote(webhook.id, safe='')}"


def _is_final(response: Response) -> bool:
    return 400 <= response.status < 500 and response.status not in _ELSEWHERE


def _polled(answer: JSON, webhook: Webhook, tables: frozenset[str]) -> Polled | None:
    payloads = answer.get("payloads") if isinstance(answer, dict) else None
    cursor = answer.get("cursor") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(payloads, list):
        raise Unreadable("the answer lists no payloads")
    if isinstance(cursor, bool) or not isinstance(cursor, int):
        raise Unreadable("the answer does not say where to go on")
    if any(map(is_broken, payloads)):
        return None
    return Polled(
        change=change_in(payloads, tables),
        cursor=cursor,
        more=answer.get("mightHaveMore") is True,
        lost=cursor != webhook.cursor + len(payloads),
    )

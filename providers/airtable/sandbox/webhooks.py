"""Webhooks: registered, polled for payloads, filtered by their specification.

Nothing is ever delivered to a URL; what Airtable's clients can poll for is here. What
the payloads hold is `payloads`.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.errors import invalid, not_found
from providers.airtable.sandbox.payloads import filters_of, living_webhooks, spelled
from providers.airtable.sandbox.state import WebhookState, iso
from providers.record import JSON

WEEK: Final = 7 * 86400.0
PAGE: Final = 50
_MOST: Final = 10


def create(call: Call) -> JSON:
    """A new webhook, which lives for a week unless it is asked for. Raises Refusal."""
    specification = call.asked.get("specification")
    if not isinstance(specification, dict) or not filters_of(specification).get("dataTypes"):
        raise invalid()
    webhooks = living_webhooks(call.base, call.now)
    if len(webhooks) >= _MOST:
        raise invalid("There can be no more than 10 webhooks in a base")
    url = call.asked.get("notificationUrl")
    made = WebhookState(
        id=call.world.new_id("ach"),
        specification=specification,
        expires=call.now + WEEK,
        notification_url=url if isinstance(url, str) else None,
    )
    webhooks[made.id] = made
    secret = b64encode(sha256(made.id.encode()).digest()).decode()
    return {
        "id": made.id,
        "macSecretBase64": secret,
        "expirationTime": iso(made.expires),
    }


def listing(call: Call) -> JSON:
    return {
        "webhooks": [
            _shown(webhook) for webhook in living_webhooks(call.base, call.now).values()
        ]
    }


def payloads(call: Call) -> JSON:
    """Payloads from a cursor on; polling keeps the webhook alive for another week."""
    webhook = _webhook(call)
    query = dict(call.request.query)
    cursor = _whole(query.get("cursor"), 1)
    limit = _whole(query.get("limit"), PAGE)
    if not 1 <= limit <= PAGE:
        raise invalid()
    webhook.expires = call.now + WEEK
    _forget_old(webhook, call.now)
    start = max(cursor, webhook.first)
    index = start - webhook.first
    page = webhook.payloads[index : index + limit]
    following = start + len(page) if page else cursor
    return {
        "payloads": [spelled(call.base, stored["payload"]) for stored in page],
        "cursor": following,
        "mightHaveMore": following < webhook.first + len(webhook.payloads),
    }


def refresh(call: Call) -> JSON:
    webhook = _webhook(call)
    webhook.expires = call.now + WEEK
    return {"expirationTime": iso(webhook.expires)}


def enable(call: Call) -> JSON:
    webhook = _webhook(call)
    webhook.enabled = call.flag("enable")
    return None


def delete(call: Call) -> JSON:
    del living_webhooks(call.base, call.now)[_webhook(call).id]
    return None


def _webhook(call: Call) -> WebhookState:
    found = living_webhooks(call.base, call.now).get(call.variables["webhook"])
    if found is None:
        raise not_found(as_string=call.switches.missing_as_string)
    return found


def _shown(webhook: WebhookState) -> JSON:
    return {
        "id": webhook.id,
        "areNotificationsEnabled": webhook.enabled,
        "cursorForNextPayload": webhook.first + len(webhook.payloads),
        "isHookEnabled": True,
        "expirationTime": iso(webhook.expires),
        "lastSuccessfulNotificationTime": None,
        "lastNotificationResult": None,
        "notificationUrl": webhook.notification_url,
        "specification": webhook.specification,
    }


def _forget_old(webhook: WebhookState, now: float) -> None:
    old = 0
    for stored in webhook.payloads:
        if float(str(stored["at"])) >= now - WEEK:
            break
        old += 1
    del webhook.payloads[:old]
    webhook.first += old


def _whole(text: str | None, default: int) -> int:
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0:
        return int(text)
    raise invalid()

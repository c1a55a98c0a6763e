"""What tells of changes in a base: a webhook that is polled, or the times of modification.

One feed covers all tables. Opening it tries for a webhook, which tells of everything that
was made, changed or deleted, and costs one request when nothing was. A token that may
have none, or a base that is full of them, is followed by the times of modification
instead, one request for each table; once a day a webhook is tried for again.

The state says which it is. Webhook: its id and the next payload's number. Times: how far
each table is known, and where a round stands. Both, for one round, when a webhook could
be had at last: what happened before it is still asked for by time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from providers.airtable import webhook as webhooks
from providers.airtable.calls import base_of
from providers.airtable.modified import Round, go_on
from providers.airtable.refusals import WEBHOOKS_REMEDY, refused
from providers.airtable.webhook import Webhook
from providers.http import Response, answered_at
from providers.record import JSON, NO_CHANGE, Collection
from providers.spec import Budget, Conversation, Feed, Heard, Refused

NAME: Final = "base"
DAY: Final = 86_400.0

# Payloads live for seven days; an hour is for clocks and for the poll itself.
KEPT: Final = 7 * DAY - 3600.0


@dataclass(frozen=True, slots=True)
class State:
    """Where the feed stands; at least one of `webhook` and `round` is there.

    heard     when it was last listened to, epoch seconds
    retry_at  when a webhook is to be tried for again
    refusal   why there is none, in Airtable's words
    """

    heard: float
    webhook: Webhook | None = None
    round: Round | None = None
    retry_at: float = 0.0
    refusal: str = ""


def feeds(collections: Sequence[Collection]) -> tuple[Feed, ...]:
    """The one feed of a base; none for no tables."""
    return (Feed(NAME, tuple(collections)),) if collections else ()


def listen(feed: Feed, state: JSON, now: float) -> Conversation[Heard]:
    """What has changed since `state`; with None the feed is opened. Raises Refused."""
    known = read_state(state)
    if known is not None and known.round is not None:
        return (yield from _by_time(feed, known, known.round, now))
    if known is not None and known.webhook is not None:
        return (yield from _by_webhook(feed, known.webhook, known.heard, now))
    opened = yield from _open(feed, now)
    missed = () if state is None else _ids(feed)
    return Heard(NO_CHANGE, write_state(opened), missed=missed)


def hang_up(feed: Feed, state: JSON) -> Conversation[None]:
    """Deletes the webhook, if there is one and it is still there. Raises Refused."""
    known = read_state(state)
    if known is None or known.webhook is None or not feed.collections:
        return
    response = yield from webhooks.delete(base_of(feed.collections[0]), known.webhook)
    if not response.ok and response.status != 404:
        raise refused(response, WEBHOOKS_REMEDY)


def allowed(_budget: str, _response: Response) -> Budget | None:
    """None: Airtable's answers have no headers that state a rate."""
    return None


def _open(feed: Feed, now: float) -> Conversation[State]:
    made = yield from webhooks.create(base_of(feed.collections[0]))
    if isinstance(made, Webhook):
        return State(now, webhook=made)
    heard = answered_at(made.response, now)
    since = dict.fromkeys(_ids(feed), heard)
    return State(heard, round=Round(since), retry_at=now + DAY, refusal=made.said)


def _by_webhook(feed: Feed, webhook: Webhook, heard: float, now: float) -> Conversation[Heard]:
    """One poll, the last one having been at `heard`. What it cannot have told is `missed`."""
    base = base_of(feed.collections[0])
    polled = yield from webhooks.poll(base, webhook, frozenset(_ids(feed)))
    if polled is None:
        # It may be there still, and broken: ten of those would fill the base.
        yield from webhooks.delete(base, webhook)
        opened = yield from _open(feed, now)
        return Heard(NO_CHANGE, write_state(opened), missed=_ids(feed))
    stale = polled.lost or now - heard > KEPT
    return Heard(
        polled.change,
        write_state(State(now, Webhook(webhook.id, polled.cursor))),
        more=polled.more,
        missed=_ids(feed) if stale else (),
    )


def _by_time(feed: Feed, known: State, left: Round, now: float) -> Conversation[Heard]:
    """A step of a round; at its end the webhook takes over, if one could be had."""
    # In the middle of a round it would come too late for the tables that had their turn.
    if not left.todo and now >= known.retry_at:
        known = yield from _retried(feed, known, now)
    found = yield from go_on(feed.collections, left, known.heard, now)
    following = replace(known, heard=now, round=found.round)
    missed: tuple[str, ...] = ()
    if known.webhook is not None and not found.round.todo:
        following = State(now, webhook=known.webhook)
        missed = tuple(found.refused)
    return Heard(
        found.change,
        write_state(following),
        more=bool(found.round.todo),
        missed=missed,
        refused=found.refused,
    )


def _retried(feed: Feed, known: State, now: float) -> Conversation[State]:
    """The state with a webhook, or with the day on which to try again."""
    try:
        made = yield from webhooks.create(base_of(feed.collections[0]))
    except Refused as trouble:
        made = trouble
    if isinstance(made, Webhook):
        return replace(known, webhook=made)
    return replace(known, retry_at=now + DAY, refusal=made.said)


def _ids(feed: Feed) -> tuple[str, ...]:
    return tuple(collection.id for collection in feed.collections)


def write_state(state: State) -> JSON:
    """The state as JSON."""
    written: dict[str, JSON] = {"heard": state.heard}
    if state.webhook is not None:
        written |= {"webhook": state.webhook.id, "cursor": state.webhook.cursor}
    if state.round is not None:
        written |= {
            "since": dict(state.round.since),
            "todo": list(state.round.todo),
            "began": state.round.began,
            "offset": state.round.offset,
            "retry_at": state.retry_at,
            "refusal": state.refusal,
        }
    return written


def read_state(state: Any) -> State | None:
    """The state that JSON holds; None for what is none of ours."""
    try:
        heard = float(state["heard"])
        webhook = (
            Webhook(str(state["webhook"]), int(state["cursor"])) if "webhook" in state else None
        )
        if "since" not in state:
            return State(heard, webhook)
        return State(
            heard,
            webhook,
            _read_round(state),
            float(state["retry_at"]),
            str(state["refusal"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _read_round(state: Mapping[str, Any]) -> Round:
    offset = state["offset"]
    return Round(
        since={str(table): float(at) for table, at in state["since"].items()},
        todo=tuple(map(str, state["todo"])),
        began=float(state["began"]),
        offset=None if offset is None else str(offset),
    )

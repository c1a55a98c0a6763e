"""What tells of changes."""

from __future__ import annotations

from collections.abc import Sequence

from providers.http import Response
from providers.record import JSON, Collection
from providers.spec import Budget, Conversation, Feed, Heard


def feeds(_collections: Sequence[Collection]) -> tuple[Feed, ...]:
    """The feeds that tell of changes in these collections."""
    return ()


def listen(feed: Feed, state: JSON, now: float) -> Conversation[Heard]:
    """What has changed since `state`."""
    raise LookupError(feed.name)


def hang_up(feed: Feed, state: JSON) -> Conversation[None]:
    """Ends what `listen` opened."""
    raise LookupError(feed.name)


def allowed(_budget: str, _response: Response) -> Budget | None:
    """The rate that the answer's headers state."""
    return None

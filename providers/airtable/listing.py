"""A collection's records, page by page."""

from __future__ import annotations

from providers.record import Collection
from providers.spec import Conversation, Page


def list_page(collection: Collection, after: str | None, thorough: bool) -> Conversation[Page]:
    """The page that begins at `after`."""
    raise LookupError(collection.id)

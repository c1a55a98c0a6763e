"""Listening in on a provider's conversation, without changing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from providers.http import Response
from providers.spec import Conversation

T = TypeVar("T")


def overheard(
    conversation: Conversation[T], listen: Callable[[Response], None]
) -> Conversation[T]:
    """The same conversation, with every answer told to `listen` as well."""
    try:
        request = next(conversation)
        while True:
            response = yield request
            listen(response)
            request = conversation.send(response)
    except StopIteration as done:
        result: T = done.value
        return result

"""Guards that the suite is to miss when they are gone. Each is taken away by a function,
in the process that is about to serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from httpproxy.exchange.forwarding.intake import Intake
from httpproxy.store.commits.writer import SQL
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.ledger import Ledger
from httpproxy.upstream.client import UpstreamClient


def intents_are_written() -> None:
    async def begin(_: Intents, __: Any) -> int:
        return 0

    Intents.begin = begin  # type: ignore[method-assign]


def an_intent_ends_with_its_commit() -> None:
    """Ended when the answer is there, before that is committed."""
    real = Intake._commit

    async def commit(intake: Intake, attempt: Any, given: Any) -> Any:
        if given.intent is not None:
            intake.intents.end(given.intent)
            await asyncio.sleep(0.01)
        return await real(intake, attempt, replace(given, intent=None, answer=None))

    Intake._commit = commit  # type: ignore[method-assign]


def intents_of_the_dead_are_adopted() -> None:
    real = Ledger.due

    async def due(ledger: Ledger, number: int, limit: int) -> Any:
        found = await real(ledger, number, limit)
        for doubt in found:
            if doubt.id >> 32 != number:
                await ledger.looked(doubt.id, "forgotten", None, outcome="unclear", records=())
        return [doubt for doubt in found if doubt.id >> 32 == number]

    Ledger.due = due  # type: ignore[method-assign]


def calls_in_doubt_are_read_again() -> None:
    def forgotten(intake: Intake, attempt: Any, *_: Any) -> None:
        if attempt.intent is not None:
            intake.intents.end(attempt.intent)

    Intake._doubt = forgotten  # type: ignore[method-assign]


def overlaps_are_refused() -> None:
    guard = b"m.end_seq <= excluded.start_seq"
    assert SQL["guard"].count(guard) == 1
    SQL["guard"] = SQL["guard"].replace(guard, b"true")


def what_was_sent_is_not_sent_again() -> None:
    real = UpstreamClient.send

    async def send(client: UpstreamClient, request: Any) -> Any:
        try:
            return await real(client, request)
        except Exception:  # noqa: BLE001  # whatever it was
            return await real(client, request)

    UpstreamClient.send = send  # type: ignore[method-assign]


GUARDS: Final[Mapping[str, Callable[[], None]]] = {
    function.__name__.replace("_", " "): function
    for function in (
        intents_are_written,
        an_intent_ends_with_its_commit,
        intents_of_the_dead_are_adopted,
        calls_in_doubt_are_read_again,
        overlaps_are_refused,
        what_was_sent_is_not_sent_again,
    )
}

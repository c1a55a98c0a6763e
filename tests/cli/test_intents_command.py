"""`httpproxy intents`: what is under way and what is in doubt, for people and for scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from programs import Ended
from stages import act

from httpproxy.store.intents.book import Intents
from tests.store.intending import ask, call, settled

Told = Callable[..., Ended]


def test_calls_under_way_and_in_doubt_are_listed_oldest_first(
    told: Told, database_dsn: str
) -> None:
    ids: list[str] = []

    async def made(stage) -> None:
        ids.append(stage.sync.id)

    act(database_dsn, made)

    async def begin() -> tuple[int, int]:
        async with Intents(database_dsn, lambda: 7) as intents:
            sent = await intents.begin(call("r1", sync_id="sync_gone"))
            doubted = await intents.begin(call("r2", sync_id=ids[0]))
            intents.doubt(doubted, "no \x1b[31manswer")
            await settled(database_dsn, {sent: "sent", doubted: "uncertain"})
            await intents.looked(doubted, "no \x1b[31manswer", 90.0)
            await ask(
                database_dsn,
                "UPDATE httpproxy.intent SET began_at = began_at - interval '3 min'"
                " WHERE id = %s",
                sent,
            )
        return sent, doubted

    sent, doubted = asyncio.run(begin())
    listed = told("intents")
    assert listed.code == 0, listed
    _, _, first, second = listed.out.splitlines()
    assert first.split() == [
        "3",
        "min",
        "sync_gone",
        "PATCH",
        "/v0/appX/Tasks/rec1",
        "sent",
        "0",
    ]
    for text in (
        "crm",
        "uncertain",
        "1  ",
        "in 90 s",
        "no \N{REPLACEMENT CHARACTER}[31manswer",
    ):
        assert text in second
    one, two = json.loads(told("intents", "--json").out)
    assert (one["id"], one["sync"], one["sync_id"]) == (str(sent), None, "sync_gone")
    assert (one["next_look"], one["why"], one["process"]) == (None, None, 7)
    assert (two["id"], two["sync"], two["request_id"], two["looks"]) == (
        str(doubted),
        "crm",
        "r2",
        1,
    )
    only = json.loads(told("intents", "--sync", "crm", "--json").out)
    assert [each["id"] for each in only] == [str(doubted)]
    fewer = json.loads(told("intents", "--limit", "1", "--json").out)
    assert [each["id"] for each in fewer] == [str(sent)]
    nowhere = told("intents", "--sync", "nowhere")
    assert (nowhere.code, "`httpproxy sync list`" in nowhere.err) == (3, True)

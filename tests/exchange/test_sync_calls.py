"""What becomes of a sync's call that waits in vain, is refused, cancelled or repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from neighbours.deadends import refusing
from neighbours.house import PORTAL, add_sync, open_house
from neighbours.recorder import DROP, HANG, End, Recorder, http, raw
from one_account import (
    API,
    JSON_TYPE,
    TARGET,
    OneAccount,
    busiest_window,
    open_account,
    reading,
    until,
)

from httpproxy.exchange.problems import Rejected
from httpproxy.upstream import retry
from httpproxy.upstream.lane import Priority
from providers.catalog import PROVIDERS
from providers.http import Request, Response
from providers.spec import Budget, Refused

TEN_SECONDLY = b'{"status":"error","message":"too fast","policyName":"TEN_SECONDLY_ROLLING"}'


@pytest.fixture
async def account(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OneAccount]:
    """An account with two requests a minute: a third call waits in vain."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.02)
    async with open_account(database_dsn, tmp_path, 2, 60.0, permit_timeout=20.0) as opened:
        yield opened


def at_rest(account: OneAccount) -> bool:
    """Nobody waits and nothing is under way."""
    (state,) = account.limiter.states()
    return state.running == 0 and sum(state.waiting.values()) == 0


async def test_a_call_whose_patience_ends_was_not_sent_and_holds_nothing(account: OneAccount):
    conversation = reading(3)
    with pytest.raises(Rejected) as caught:
        await account.calls.converse(
            account.live, conversation, Priority.BACKFILL, patience=20.0
        )
    assert (caught.value.code, caught.value.sent) == ("permit_timeout", "no")
    assert 20 < caught.value.retry_after <= 61
    assert "2 per 60 s" in caught.value.detail
    assert len(account.api.seen) == 2
    assert at_rest(account)
    with pytest.raises(StopIteration):  # it was closed, and cannot go on by mistake
        next(conversation)


async def test_a_call_waits_as_long_as_its_patience_and_no_longer_than_it_must(
    database_dsn: str, tmp_path: Path
):
    async with open_account(database_dsn, tmp_path, 2, 0.3, permit_timeout=0.1) as account:
        statuses = await account.calls.converse(account.live, reading(5), patience=600.0)
        assert statuses == [200] * 5
        assert busiest_window(account.arrivals(), 0.3) == 2


@pytest.mark.parametrize("moment", ["waiting", "under way"])
async def test_a_call_that_is_cancelled_leaves_no_trace(account: OneAccount, moment: str):
    if moment == "waiting":
        await account.calls.converse(account.live, reading(2))  # which leaves no permit
    account.api.usual = HANG
    job = asyncio.ensure_future(
        account.calls.converse(account.live, reading(), Priority.BACKFILL, patience=600.0)
    )

    def begun() -> bool:
        states = list(account.limiter.states())
        waiting = sum(sum(state.waiting.values()) for state in states)
        return (
            waiting == 1 if moment == "waiting" else sum(state.running for state in states) == 1
        )

    await until(begun)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert at_rest(account)


async def test_every_attempt_that_was_sent_is_counted_and_none_that_never_left(
    account: OneAccount, database_dsn: str
):
    sent: list[int] = []
    account.api.replies += [http(500), DROP]
    with pytest.raises(Rejected, match="permit_timeout"):
        await account.calls.converse(
            account.live, reading(), patience=20.0, tally=lambda: sent.append(1)
        )
    assert len(sent) == len(account.api.seen) == 2


async def test_a_call_that_never_left_is_not_counted(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.02)
    sent: list[int] = []
    with refusing() as nowhere:
        async with open_house(database_dsn, tmp_path, nowhere) as house:
            account = OneAccount(house, await add_sync(house, "airtable"), Recorder())
            await house.service.directory.refresh()
            with pytest.raises(Rejected, match="upstream_failed"):
                await account.calls.converse(
                    account.live, reading(), tally=lambda: sent.append(1)
                )
            assert sent == []
            assert account.limiter.total.grants[Priority.REREAD] == retry.ATTEMPTS
            assert at_rest(account)


async def test_a_refusal_that_quotes_the_token_is_read_without_it(account: OneAccount):
    def words() -> Generator[Request, Response, bytes]:
        return (yield Request("GET", API, TARGET)).body

    token = await account.calls.secret(account.live)
    account.api.replies += [http(403, body=f"no {token}!".encode())]
    assert await account.calls.converse(account.live, words()) == "no …!".encode()


async def test_a_429_of_the_sync_silences_the_account_for_the_writes_too(account: OneAccount):
    account.api.replies.append(http(429))
    with pytest.raises(Rejected, match="permit_timeout"):
        await account.calls.converse(account.live, reading(), patience=5.0)
    refused = await account.write()
    assert (refused.status, refused.json()["code"]) == (504, "permit_timeout")
    assert 20 < int(refused.get("Retry-After")) <= 30  # Airtable's own silence
    assert len(account.api.seen) == 1
    assert at_rest(account)


async def test_a_429_of_a_write_silences_the_account_for_the_sync_too(account: OneAccount):
    account.api.by_target["/v0/"] = http(429)
    assert (await account.write()).status == 429
    with pytest.raises(Rejected, match="permit_timeout"):
        await account.calls.converse(account.live, reading(), patience=5.0)
    assert len(account.api.seen) == 1


async def test_a_refused_write_silences_the_account_before_the_next_call_is_let_go(
    account: OneAccount,
):
    lane = account.live.allotment.lane("standard")
    one_at_a_time = Budget("standard", 10, 60.0, max_concurrent_requests=1)
    account.limiter.lane(lane, one_at_a_time, account.sync.id)
    account.api.replies.append(raw(0.1, *http(429).parts, end=End.KEEP))
    first, second = await asyncio.gather(account.write(), account.write())
    assert sorted([first.status, second.status]) == [429, 504]
    assert len(account.api.seen) == 1


async def test_a_read_that_is_refused_to_the_last_attempt_is_an_error_and_nothing_less(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.02)
    sent: list[int] = []
    async with (
        Recorder(http(503, JSON_TYPE)) as api,
        open_house(database_dsn, tmp_path, api.url) as house,
    ):
        account = OneAccount(house, await add_sync(house, "hubspot"), api)
        await house.service.directory.refresh()
        tables = await house.service.office.registry.tables(account.sync)
        collection, provider = tables.schema.collections[0], PROVIDERS["hubspot"]
        for conversation in (
            provider.list_page(collection, None, True),
            provider.list_page(collection, None, False),
            provider.read_records(collection, [("1",)]),
        ):
            api.seen.clear()
            sent.clear()
            with pytest.raises(Refused) as caught:
                await account.calls.converse(
                    account.live, conversation, tally=lambda: sent.append(1)
                )
            assert caught.value.response.status == 503
            assert len(sent) == len(api.seen) == retry.ATTEMPTS


def hubspot_call(path: str) -> Generator[Request, Response, int]:
    response = yield Request("POST", "api.hubapi.com", path, body=b"{}")
    return response.status


async def test_hubspots_searches_and_its_other_calls_do_not_wait_for_each_other(
    database_dsn: str, tmp_path: Path
):
    search, read = "/crm/v3/objects/contacts/search", "/crm/v3/objects/contacts/batch/read"
    async with Recorder() as api, open_house(database_dsn, tmp_path, api.url) as house:
        sync = await add_sync(house, "hubspot", allowed_requests=1, interval=60.0)
        account = OneAccount(house, sync, api)
        await house.service.directory.refresh()
        api.replies.append(http(429, JSON_TYPE, body=TEN_SECONDLY))

        async def call(path: str, patience: float) -> int:
            return await account.calls.converse(
                account.live, hubspot_call(path), Priority.INCREMENTAL, patience=patience
            )

        with pytest.raises(Rejected, match="permit_timeout"):
            await call(search, 5.0)  # its lane is silent for ten seconds, and then empty
        assert await call(read, 5.0) == 200  # a moment: its lane is asked for
        with pytest.raises(Rejected, match="permit_timeout"):
            await call(read, 5.0)
        keys = {state.key: state.paused for state in account.limiter.states()}
        assert keys["hubspot", PORTAL, "search"] > 0
        assert keys["hubspot", PORTAL, "standard"] == 0


async def test_two_syncs_of_one_base_share_one_lane_at_the_smaller_ceiling(
    database_dsn: str, tmp_path: Path
):
    async with open_account(database_dsn, tmp_path, 10, 0.5) as account:
        other = await add_sync(
            account.house, "airtable", allowed_requests=3, interval=0.5, name="second"
        )
        await account.house.service.directory.refresh()
        calls, both = account.calls, [account.live, account.live_of(other)]
        await asyncio.gather(
            *(calls.converse(live, reading(4), Priority.BACKFILL) for live in both),
            account.write(),
            account.write(other),
        )
        assert len(account.api.seen) == 10
        assert busiest_window(account.arrivals(), 0.5) == 3

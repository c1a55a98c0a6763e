"""Stored OAuth tokens: one refresh for all processes, ahead of the end, seen by nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from granted import granted, until

from httpproxy.exchange.tokens import access as tokens_module
from httpproxy.exchange.tokens.refreshing import CredentialTrouble, Refresher, _Failure
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.refreshes import Lease, Refreshes, StoredTokens
from httpproxy.store.credentials.values import TokenPair
from httpproxy.store.errors import Unavailable
from httpproxy.sync.troubles import in_words
from httpproxy.upstream.client import UpstreamClient
from providers.credentials import AppKeys, Grant
from providers.http import Request, Response
from providers.oauth import basic

BOTH = pytest.mark.parametrize("provider", ["airtable", "hubspot"])


@BOTH
async def test_two_processes_refresh_once_and_both_have_the_new_token(
    database_dsn: str, tmp_path: Path, provider: str
):
    async with granted(database_dsn, tmp_path, provider, houses=2) as world:
        await world.fault("delay_after", seconds=0.3)
        await world.store(expires_in=0.5, refresh_in=0.0)
        each = [h.service.office.tokens for h in world.houses]
        found = await asyncio.gather(*(t.current(world.id) for t in each for _ in range(20)))
        assert len(set(found)) == 1
        assert found[0] != world.first_token
        assert await world.refreshed() == 1


async def test_a_token_that_is_still_good_is_used_while_another_is_fetched(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        fetched = world.hold()
        await world.store(expires_in=600.0, refresh_in=0.0)
        async with asyncio.timeout(60):
            assert await world.tokens.current(world.id) == world.first_token
        fetched.let_go()
        await until(lambda: world.row()["generation"] == 2)
        assert await world.tokens.current(world.id, watched=True) != world.first_token
        assert await world.refreshed() == 1


async def test_what_nobody_uses_is_refreshed_when_it_is_due(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tokens_module, "KEEP_SECONDS", 0.1)
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=None, refresh_in=0.0)
        await until(lambda: world.row()["generation"] == 2)
        row = world.row()
        assert row["due"].total_seconds() == pytest.approx(2880, abs=30)
        assert (row["trouble"], row["refresh_holder"]) == (None, None)


async def test_what_is_found_to_be_due_as_the_service_ends_is_left_to_others(
    database_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        await world.store(expires_in=600.0, refresh_in=3600.0)

        async def found_at_the_end(_: Refreshes, most: int) -> list[str]:
            await world.tokens.settled()
            return [world.id][:most]

        monkeypatch.setattr(tokens_module, "KEEP_SECONDS", 0.0)
        monkeypatch.setattr(Refreshes, "due", found_at_the_end)
        await asyncio.wait_for(world.tokens.keep(), 60)
        assert await world.refreshed() == 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_who_is_refused_as_the_service_ends_is_told_to_come_again(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        await world.store(expires_in=600.0, refresh_in=3600.0)
        await world.tokens.settled()
        with pytest.raises(CredentialTrouble) as caught:
            world.tokens._begin(world.id, "refused")  # between two looks of who waits
        assert caught.value.retry_after == 1.0


async def test_tokens_that_cannot_be_refreshed_are_used_as_they_are(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        bare = TokenPair("patX.secret")
        kind = world.provider.credential_kinds[0].name
        await world.store(expires_in=None, refresh_in=None, tokens=bare, kind=kind, app_id=None)
        assert await world.tokens.current(world.id) == "patX.secret"
        assert await world.tokens.replaced(world.id, "patX.secret") is None
        world.change("expires_at = now()")
        world.tokens.forget(world.id)
        with pytest.raises(CredentialTrouble, match="nothing to refresh it by") as caught:
            await world.tokens.current(world.id)
        assert caught.value.code == "credential_unusable"
        assert await world.refreshed() == 0


async def test_a_token_that_was_entered_anew_is_used_within_moments(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with granted(database_dsn, tmp_path) as world:
        kind = world.provider.credential_kinds[0].name
        entered: dict[str, Any] = {"kind": kind, "expires_in": None, "refresh_in": None}
        await world.store(**entered, tokens=TokenPair("patX.secret"))
        assert await world.tokens.current(world.id) == "patX.secret"
        await world.store(**entered, tokens=TokenPair("patY.secret"))
        assert await world.tokens.current(world.id) == "patX.secret"
        assert await world.tokens.replaced(world.id, "patX.secret") == "patY.secret"
        await world.store(**entered, tokens=TokenPair("patZ.secret"))
        monkeypatch.setattr(tokens_module, "KEPT_SECONDS", 0.0)
        assert await world.tokens.current(world.id, watched=True) == "patY.secret"
        assert await world.tokens.current(world.id) == "patZ.secret"


async def test_credentials_of_one_grant_are_refreshed_together(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        await world.fault("delay_after", seconds=0.2)
        await world.store(expires_in=0.5, refresh_in=0.0)
        other = await world.store(expires_in=0.5, refresh_in=0.0, account="appSecond00000000")
        found = await asyncio.gather(*map(world.tokens.current, (world.id, other)))
        assert len(set(found)) == 1
        assert await world.refreshed() == 1
        assert not world.row(other)["spent"]


async def test_a_token_that_the_api_has_ended_is_replaced_once(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=600.0, refresh_in=500.0)
        ended = world.first_token
        assert await world.tokens.current(world.id) == ended
        found = await asyncio.gather(*(world.tokens.replaced(world.id, ended) for _ in "1234"))
        assert len(set(found)) == 1
        assert found[0] not in (None, ended)
        assert await world.refreshed() == 1
        # An API that refuses whatever it gives is not asked for more with every call.
        for _ in range(2):
            assert await world.tokens.replaced(world.id, str(found[0])) is None
            await world.tokens._idle.wait()
        assert await world.refreshed() == 1


async def test_a_slow_look_brings_no_replaced_token_back(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=600.0, refresh_in=500.0)
        read, begun, arrives = Refreshes.tokens_of, asyncio.Event(), asyncio.Event()

        async def slow(refreshes: Refreshes, credential_id: str) -> StoredTokens:
            found = await read(refreshes, credential_id)
            begun.set()
            await arrives.wait()
            return found

        monkeypatch.setattr(Refreshes, "tokens_of", slow)
        looking = asyncio.gather(world.tokens.current(world.id))
        await begun.wait()
        monkeypatch.setattr(Refreshes, "tokens_of", read)
        fresh = await world.tokens.replaced(world.id, world.first_token)
        await world.tokens._idle.wait()
        arrives.set()
        assert await looking == [fresh]
        assert await world.tokens.current(world.id, watched=True) == fresh


async def test_a_call_that_was_refused_waits_for_another_process_to_store_the_next_token(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=600.0, refresh_in=0.0)
        world.change("refresh_holder = 'other', refresh_until = now() + interval '1 minute'")
        # Beside it, a look at what is due finds that it is under way, and a good token.
        asked = (world.tokens.current(world.id), world.tokens.replaced(world.id, "x"))
        refused = world.tokens.replaced(world.id, world.first_token)
        waiting = asyncio.gather(*asked, refused)
        await asyncio.sleep(0.4)
        assert not waiting.done()
        office = world.house.service.office
        other = Lease(world.id, 1, "other")
        grant = Grant("pl4nted-next", "pl4nted-next-refresh", 600.0)
        assert await Refreshes(office.database, office.vault).store(other, grant, 500.0)
        first, _, next_ = await waiting
        assert (first, next_) == (world.first_token, "pl4nted-next")
        assert await world.refreshed() == 0


async def test_a_credential_that_is_gone_has_no_token(database_dsn: str, tmp_path: Path):
    async with granted(database_dsn, tmp_path) as world:
        with pytest.raises(LookupError):
            await world.tokens.current("cred_none")
        assert await world.tokens.replaced("cred_none", "x") is None


# --- refused ----------------------------------------------------------------------------


@BOTH
async def test_a_grant_that_is_gone_is_said_in_words_and_not_asked_for_again(
    database_dsn: str, tmp_path: Path, provider: str
):
    async with granted(database_dsn, tmp_path, provider) as world:
        await world.store(
            expires_in=0.5, refresh_in=0.0, tokens=TokenPair("gone", "pl4nted-refresh-token")
        )
        for _ in range(3):
            with pytest.raises(CredentialTrouble, match="authorise the app again") as caught:
                await world.tokens.current(world.id)
        assert caught.value.code == "credential_unusable"
        assert world.id in in_words(caught.value).remedy
        row = world.row()
        assert row["spent"]
        assert "pl4nted" not in row["trouble"]
        assert await world.refreshed() == 1


async def test_an_app_that_cannot_prove_itself_is_named(database_dsn: str, tmp_path: Path):
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=0.5, refresh_in=0.0)
        office, app = world.house.service.office, world.provider.sandbox.grant.app
        apps = Apps(office.database, office.vault)
        await apps.save("airtable", AppKeys(app.client_id, "pl4nted-wrong-secret"), "app")
        with pytest.raises(CredentialTrouble, match="client secret of the OAuth app") as caught:
            await world.tokens.current(world.id)
        assert caught.value.code == "token_not_refreshed"
        assert not world.row()["spent"]


async def test_a_credential_without_an_app_is_told_so_and_holds_nobody_up(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tokens_module, "KEEP_SECONDS", 0.1)
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=600.0, refresh_in=0.0, app_id=None)
        await until(lambda: world.row()["trouble"] is not None)
        assert "Store an OAuth app" in world.row()["trouble"]
        assert world.row()["due"].total_seconds() > 3
        assert await world.tokens.current(world.id) == world.first_token
        assert await world.refreshed() == 0


async def test_an_endpoint_in_trouble_is_left_alone_while_the_token_is_good(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        await world.fault("status", status=503, count=1)
        await world.store(expires_in=600.0, refresh_in=0.0)
        assert await world.tokens.current(world.id) == world.first_token
        await until(lambda: world.row()["trouble"] is not None)
        for _ in range(20):
            assert await world.tokens.current(world.id) == world.first_token
        row = world.row()
        assert "503" in row["trouble"]
        assert not row["spent"]
        assert 3 < row["due"].total_seconds() <= 5
        assert await world.refreshed() == 1
        world.change("refresh_at = now()")  # the five seconds are over
        world.tokens.forget(world.id)
        await world.tokens.current(world.id)
        await until(lambda: world.row()["trouble"] is None)
        assert await world.tokens.current(world.id, watched=True) != world.first_token


async def test_without_a_good_token_a_call_is_told_when_to_come_again(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        await world.fault("drop", when="before", count=2)
        await world.store(expires_in=0.5, refresh_in=0.0)
        for _ in range(5):
            with pytest.raises(CredentialTrouble) as caught:
                await world.tokens.current(world.id)
            assert caught.value.code == "token_not_refreshed"
            assert 0 < (caught.value.retry_after or 0) <= 5
            assert in_words(caught.value).remedy
        assert await world.refreshed() == 1


def test_no_token_stands_in_what_is_told_of_a_failure():
    pair = TokenPair("pl4nted-access", "pl4nted-refresh")
    holding = StoredTokens(
        *("cred_x", "airtable", "appX", "airtable_oauth2", "app_x", pair, None, None),
        *("an earlier try got no answer", False, 1, False),
    )
    said = f"400 invalid_grant: {pair.refresh_token} of {pair.access_token}" + 1000 * "."
    words = _Failure(said, "Authorise.", spent=True).words(holding)
    assert "pl4nted" not in words
    assert len(words) < 600
    assert words.startswith("400 invalid_grant: … of …")
    told = _Failure("400 no", "Authorise.", spent=True).words(holding)
    assert told == "400 no (before: an earlier try got no answer). Authorise."


@pytest.mark.parametrize("provider", ["airtable", "hubspot"])
async def test_a_refusal_that_quotes_what_it_was_asked_is_stored_without_secrets(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str
):
    async def quoting(_: UpstreamClient, request: Request) -> Response:
        told = f"{request.headers.get('Authorization')} {request.body.decode()}"
        return Response(400, body=orjson.dumps({"error": "invalid_client", "message": told}))

    monkeypatch.setattr(UpstreamClient, "send", quoting)
    async with granted(database_dsn, tmp_path, provider) as world:
        await world.store(expires_in=0.0, refresh_in=0.0)
        with pytest.raises(CredentialTrouble):
            await world.tokens.current(world.id)
        given, trouble = world.provider.sandbox.grant, world.row()["trouble"]
        assert trouble.startswith("400 invalid_client: ")
        assert "refresh_token=…" in trouble
        secret = given.app.client_secret
        for each in (secret, basic(given.app.client_id, secret), given.tokens.refresh_token):
            assert each.removeprefix("Basic ") not in trouble


# --- between the answer and the commit --------------------------------------------------


async def test_tokens_that_cannot_be_stored_yet_are_used_and_wait(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stored, away = Refreshes.store, asyncio.Event()
    away.set()

    async def store(self: Refreshes, lease: Lease, grant: Grant, due: float | None) -> bool:
        if away.is_set():
            raise Unavailable("the database is away")
        return await stored(self, lease, grant, due)

    monkeypatch.setattr(Refreshes, "store", store)
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=0.5, refresh_in=0.0)
        async with asyncio.timeout(60):
            new = await world.tokens.current(world.id)
        assert new != world.first_token
        world.tokens.forget(world.id)  # what is stored is not what is good
        assert await world.tokens.current(world.id) == new
        assert world.row()["generation"] == 1
        closing = asyncio.ensure_future(world.tokens.settled())
        await asyncio.sleep(0.1)
        assert not closing.done()
        away.clear()
        await closing
        assert world.row()["generation"] == 2
        assert await world.refreshed() == 1


def test_what_waits_to_be_stored_grows_older_meanwhile():
    assert Refresher._aged(Grant("a", "r", 100.0), 30.0) == Grant("a", "r", 70.0)
    assert Refresher._aged(Grant("a", "r", 100.0), 300.0) == Grant("a", "r", 0.0)
    assert Refresher._aged(Grant("a"), 30.0) == Grant("a")


async def test_what_comes_after_the_lease_was_lost_is_kept_all_the_same(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        answer = world.hold()
        await world.store(expires_in=0.5, refresh_in=None)
        slow = asyncio.ensure_future(world.another(lease_seconds=0.2).current(world.id))
        await answer.reached()
        await asyncio.sleep(0.3)  # its lease is over
        with pytest.raises(CredentialTrouble):  # it finds the refresh token spent
            await world.another(lease_seconds=0.2).current(world.id)
        answer.let_go()
        new = await slow
        assert (await world.tokens.current(world.id)) == new
        assert not world.row()["spent"]


async def test_tokens_that_were_entered_meanwhile_win(database_dsn: str, tmp_path: Path):
    async with granted(database_dsn, tmp_path) as world:
        answer = world.hold()
        await world.store(expires_in=0.5, refresh_in=None)
        slow = asyncio.ensure_future(world.tokens.current(world.id))
        await answer.reached()
        await world.store(expires_in=None, refresh_in=None, tokens=TokenPair("patY.secret"))
        answer.let_go()
        await slow
        world.tokens.forget(world.id)
        assert await world.tokens.current(world.id) == "patY.secret"


async def test_a_refresh_that_takes_too_long_ends_and_is_tried_again(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("httpproxy.exchange.tokens.refreshing.CALL_SECONDS", 1.0)
    async with granted(database_dsn, tmp_path, "hubspot") as world:
        await world.fault("delay_before", seconds=5.0, count=1)
        await world.store(expires_in=0.5, refresh_in=0.0)
        with pytest.raises(CredentialTrouble, match="in time"):
            await world.tokens.current(world.id)
        assert not world.row()["spent"]


async def test_who_waits_for_another_process_too_long_is_told_so(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tokens_module, "PATIENCE", 0.5)
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=0.5, refresh_in=0.0)
        world.change("refresh_holder = 'somebody', refresh_until = now() + interval '1 minute'")
        with pytest.raises(CredentialTrouble) as caught:
            await world.tokens.current(world.id)
        assert caught.value.code == "token_not_refreshed"
        assert await world.refreshed() == 0


async def test_a_database_that_is_away_leaves_a_good_token_in_use(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=600.0, refresh_in=500.0)
        assert await world.tokens.current(world.id) == world.first_token

        async def away(*_: object) -> None:
            raise Unavailable("the database is away")

        monkeypatch.setattr(Refreshes, "tokens_of", away)
        monkeypatch.setattr(tokens_module, "KEPT_SECONDS", 0.0)
        assert await world.tokens.current(world.id) == world.first_token
        assert await world.tokens.replaced(world.id, world.first_token) is None
        world.tokens.forget(world.id)
        with pytest.raises(Unavailable):
            await world.tokens.current(world.id)


async def test_a_token_is_refreshed_without_a_service_too(database_dsn: str, tmp_path: Path):
    async with granted(database_dsn, tmp_path) as world:
        await world.store(expires_in=0.5, refresh_in=None)
        alone = world.another(lease_seconds=5)
        assert await alone.current(world.id) != world.first_token
        assert world.row()["generation"] == 2

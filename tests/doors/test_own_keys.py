"""One of our API keys in the place of a token: the stored credential goes to the API."""

from __future__ import annotations

import time
from typing import Any

import pytest
import pytest_asyncio
from cases import JSON_TYPE, RECORD, TASKS
from multidict import CIMultiDict
from neighbours.door import Door
from neighbours.house import House, add_sync
from neighbours.keyring import new_key
from neighbours.problem import assert_problem
from neighbours.rawclient import Answer, request_bytes
from neighbours.recorder import Recorder, http

from httpproxy.exchange.authorization.standin import key_among
from httpproxy.exchange.problems import Rejected
from httpproxy.store.credentials.refreshes import Refreshes
from httpproxy.store.errors import Unavailable
from httpproxy.store.registry import Sync
from httpproxy.store.secrets.keys import Keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

AIRTABLE, HUBSPOT = "api.airtable.com", "api.hubapi.com"
OWN = "pat-of-the-sync-itself"
CONTACTS = "/crm/v3/objects/contacts"
CONTACT = b'{"id":"1","properties":{},"archived":false}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sync(house: House) -> Sync:
    return await add_sync(house, "airtable", name="keyed")


@pytest.fixture(scope="module")
def keyed(house: House, sync: Sync) -> Door:
    """The door to an Airtable sync, behind which everything is recorded."""
    return house.door(sync)


async def ask(
    door: Door,
    key: str,
    *more: tuple[str, str],
    method: str = "POST",
    target: str = TASKS,
    host: str = AIRTABLE,
) -> Answer:
    headers = [JSON_TYPE, ("Authorization", f"Bearer {key}"), *more]
    body = None if method == "GET" else b'{"fields":{"Name":"x"}}'
    async with door.connect() as client:
        return await client.exchange(
            request_bytes(method, door.root(host) + target, headers, body)
        )


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """A problem of ours with this code, after which it is safe to try again."""
    problem = assert_problem(answer)
    assert (answer.status, problem["code"]) == (status, code), problem["detail"]
    assert (problem["sent"], problem["retry_safe"]) == ("no", True)
    return problem


# --- what leaves, and what does not --------------------------------------------------------


async def test_the_credential_leaves_in_the_keys_place_and_nobody_is_asked_whose_it_is(
    hub: Door, house: House, upstream: Recorder
) -> None:
    key = await new_key(house, "write")
    upstream.usual = http(201, JSON_TYPE, body=CONTACT)
    answer = await ask(hub, key, target=CONTACTS, host=HUBSPOT)
    assert answer.status == 201
    assert answer.get("Httpproxy-Commit").startswith("applied; rows=1")
    assert upstream.targets() == [CONTACTS]
    (seen,) = upstream.seen
    assert seen.all("Authorization") == [f"Bearer {OWN}"]
    assert key.encode() not in seen.head.raw + seen.body
    assert OWN.encode() not in answer.head.raw + answer.body


async def test_other_tokens_are_never_looked_up(
    keyed: Door, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("a token of the API was taken for a key")

    monkeypatch.setattr(Keys, "verify", never)
    upstream.usual = http(200, JSON_TYPE, body=RECORD)
    for token in ("patX.secret", "pat_hpk_1", "xhpk_"):
        assert (await ask(keyed, token)).status == 200
        assert upstream.seen[-1].all("Authorization") == [f"Bearer {token}"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_a_key_is_known_by_its_scheme_and_how_it_begins(scheme: str) -> None:
    assert key_among(CIMultiDict({"Authorization": f"{scheme} hpk_a"})) == "hpk_a"
    for value in (f"{scheme} pat", "Basic hpk_a", "hpk_a", f"{scheme} x hpk_a"):
        assert key_among(CIMultiDict({"Authorization": value})) is None
    assert key_among(CIMultiDict()) is None


async def test_a_key_beside_another_authorization_is_refused() -> None:
    """Whichever comes first: the other would go to the API."""
    pairs = [("Authorization", "Bearer pat"), ("authorization", "Bearer hpk_a")]
    for given in (pairs, pairs[::-1]):
        with pytest.raises(Rejected, match="bad_header"):
            key_among(CIMultiDict(given))


# --- which keys open what ------------------------------------------------------------------


async def test_a_key_that_reads_opens_what_changes_nothing_and_no_more(
    hub: Door, house: House, upstream: Recorder
) -> None:
    key = await new_key(house, "read")
    upstream.usual = http(200, JSON_TYPE, body=b'{"total":0,"results":[]}')
    for method, target in (("GET", CONTACTS), ("POST", f"{CONTACTS}/search")):
        answer = await ask(hub, key, method=method, target=target, host=HUBSPOT)
        assert answer.status == 200
    assert upstream.targets() == [CONTACTS, f"{CONTACTS}/search"]
    answer = await ask(hub, key, target=CONTACTS, host=HUBSPOT)
    assert "scope write" in refused(answer, 403, "key_not_allowed")["message"]
    assert len(upstream.seen) == 2


async def test_a_key_of_one_sync_opens_that_one_alone(
    keyed: Door, sync: Sync, door: Door, house: House, upstream: Recorder
) -> None:
    upstream.usual = http(200, JSON_TYPE, body=RECORD)
    key = await new_key(house, "admin", sync_id=sync.id)
    assert (await ask(keyed, key)).status == 200
    upstream.forget()
    problem = refused(await ask(door, key), 403, "key_not_allowed")
    assert "another sync" in problem["error"]["message"]
    assert upstream.seen == []


async def test_a_path_of_another_account_is_refused_with_a_key_too(
    keyed: Door, house: House, upstream: Recorder
) -> None:
    key = await new_key(house, "admin")
    answer = await ask(keyed, key, target="/v0/appOther000000001/Tasks")
    refused(answer, 403, "path_of_another_account")
    assert upstream.seen == []


async def test_a_key_that_is_none_is_401_and_nothing_is_forwarded(
    keyed: Door, house: House, upstream: Recorder
) -> None:
    database = house.service.office.database
    keys = Keys(database, time.monotonic)
    ended, text = await keys.create("ended", ["write"])
    await keys.revoke(ended.id)
    expired = await new_key(house, "write", expires_in=0.0)
    for key in ("hpk_", "hpk_nonsense", f"hpk_{'a' * 16}_{'b' * 43}", text.reveal(), expired):
        answer = await ask(keyed, key)
        refused(answer, 401, "unknown_key")
        assert answer.get("WWW-Authenticate") == 'Bearer realm="httpproxy"'
        assert key.encode() not in answer.head.raw + answer.body or key == "hpk_"
    assert upstream.seen == []


async def test_without_the_database_no_key_is_believed(
    keyed: Door, house: House, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await new_key(house, "write")

    async def away(*_: object) -> None:
        raise Unavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(Keys, "verify", away)
        refused(await ask(keyed, key), 502, "database_unavailable")
    live = house.service.directory.known(keyed.unique_id)
    assert live is not None
    live.secret = None
    with monkeypatch.context() as patch:
        patch.setattr(Refreshes, "tokens_of", away)
        refused(await ask(keyed, key), 502, "database_unavailable")
    assert upstream.seen == []


async def test_a_sync_without_a_credential_says_so(house: House, upstream: Recorder) -> None:
    sync = await add_sync(house, "hubspot", name="bare")
    office = house.service.office
    async with office.database.transaction() as connection:
        await connection.execute(
            "UPDATE httpproxy.sync SET credential_id = NULL WHERE id = %(id)s", {"id": sync.id}
        )
    await office.registry.touch(sync)
    await house.service.directory.refresh()
    answer = await ask(
        house.door(sync), await new_key(house, "write"), target=CONTACTS, host=HUBSPOT
    )
    refused(answer, 409, "credential_missing")
    assert upstream.seen == []


# --- dry runs and repetitions --------------------------------------------------------------


async def test_a_dry_run_by_key_tells_what_it_would_do_and_no_secret(
    keyed: Door, hub: Door, house: House, upstream: Recorder
) -> None:
    key = await new_key(house, "write")
    for door, host, target in ((keyed, AIRTABLE, TASKS), (hub, HUBSPOT, CONTACTS)):
        answer = await ask(door, key, ("Httpproxy-Dry-Run", "?1"), host=host, target=target)
        assert answer.status == 200, answer.body
        told: Any = answer.json()
        assert ["Authorization", "…"] in told["request"]["headers"]
        for secret in (key, OWN):
            assert secret.encode() not in answer.head.raw + answer.body
    assert upstream.seen == []
    reader = await new_key(house, "read")
    answer = await ask(keyed, reader, ("Httpproxy-Dry-Run", "?1"))
    refused(answer, 403, "key_not_allowed")


async def test_a_repetition_by_key_is_answered_from_what_is_kept(
    keyed: Door, sync: Sync, house: House, upstream: Recorder
) -> None:
    """By any key that may write to the sync, after the credential was replaced, too."""
    upstream.usual = http(200, JSON_TYPE, body=RECORD)
    once = ("Idempotency-Key", "once-by-key")
    key = await new_key(house, "write")
    first = await ask(keyed, key, once)
    assert first.status == 200
    await house.service.office.registry.replace_secret(sync, "pat-of-tomorrow")
    await house.service.directory.refresh()
    for again in (key, await new_key(house, "admin", sync_id=sync.id)):
        answer = await ask(keyed, again, once)
        assert (answer.status, answer.body) == (200, first.body)
        assert answer.get("Idempotency-Replayed") == "true"
    assert len(upstream.seen) == 1
    refused(await ask(keyed, "patX.secret", once), 403, "token_unproven")
    await house.service.office.registry.replace_secret(sync, OWN)
    await house.service.directory.refresh()

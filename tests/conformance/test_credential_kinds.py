"""What every provider's credentials keep to: what they are made of, refreshes, live checks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import Account

from providers.airtable.sandbox.seed import READER_TOKEN
from providers.credentials import AppKeys, CredentialKind, Grant, Inspection, Lack, OAuth, Reach
from providers.http import Response
from providers.hubspot.sandbox.kit import READ_ONLY_TOKEN
from providers.oauth import asked
from providers.spec import Conversation, Provider, Refused, Unrecognised

LIFETIME = {"access_lifetime": 1000.0}
READERS = {"airtable": READER_TOKEN, "hubspot": READ_ONLY_TOKEN}
STEP = 10.0  # seconds between two calls of an Account


def kind_of(provider: Provider) -> tuple[CredentialKind, OAuth]:
    wanted = provider.sandbox.grant.kind
    kind = next(kind for kind in provider.credential_kinds if kind.name == wanted)
    assert kind.oauth is not None
    return kind, kind.oauth


def refresh(account: Account, refresh_token: str, app: AppKeys | None = None) -> Response:
    _, oauth = kind_of(account.provider)
    keys = app or account.provider.sandbox.grant.app
    return account.call_bare(oauth.refresh(keys, refresh_token))


def answered(conversation: Conversation[Inspection], answer: Response) -> None:
    """Answers ten times, always the same."""
    for _ in range(10):
        conversation.send(answer)


@pytest.fixture
def account(provider: Provider) -> Account:
    """The seeded account, opened by the access token of the grant."""
    grant = provider.sandbox.grant.tokens
    return Account(provider, grant.access_token, LIFETIME)


def reads(account: Account) -> bool:
    """Whether the token opens the account."""
    try:
        account.discover()
    except Refused as no:
        return no.response.status != 401
    return True


def test_the_members_of_a_credential_are_named_and_told(provider: Provider):
    for kind in provider.credential_kinds:
        members = {each.name: each for each in kind.properties}
        assert len(members) == len(kind.properties)
        assert members["access_token"].secret
        assert members["access_token"].required
        assert not members[provider.account_property].secret
        assert all(each.title and each.help for each in kind.properties)
        refreshed = {"refresh_token", "oauth_app_id"} <= set(members)
        assert refreshed == (kind.oauth is not None)


def test_a_token_host_is_no_host_of_the_gateway(provider: Provider):
    _, oauth = kind_of(provider)
    request = oauth.refresh(AppKeys("id", "hush"), "hush")
    assert request.host in (*provider.hosts, *provider.token_hosts)
    assert not set(provider.hosts) & set(provider.token_hosts)
    assert "hush" not in repr(request)


def test_a_refresh_says_who_asks_and_for_what(provider: Provider):
    _, oauth = kind_of(provider)
    for keys in (AppKeys("id", "secret"), AppKeys("id")):
        form, app = asked(oauth.refresh(keys, "the token"))
        assert form["grant_type"] == "refresh_token"
        assert form["refresh_token"] == "the token"
        assert app == keys


def test_a_refreshed_token_opens_the_account(account: Account):
    _, oauth = kind_of(account.provider)
    given = account.provider.sandbox.grant.tokens
    grant = oauth.read(refresh(account, given.refresh_token or ""))
    assert grant.expires_in == 1000.0
    assert grant.access_token != given.access_token
    account.token = grant.access_token
    assert reads(account)


def test_a_token_ends_with_its_time_and_a_refresh_brings_another(account: Account):
    _, oauth = kind_of(account.provider)
    assert reads(account)
    for _ in range(int(1000 / STEP)):
        refresh(account, "none")  # time passes
    assert not reads(account)
    grant = oauth.read(
        refresh(account, account.provider.sandbox.grant.tokens.refresh_token or "")
    )
    account.token = grant.access_token
    assert reads(account)


def test_whether_a_refresh_token_is_used_once_is_told(account: Account):
    _, oauth = kind_of(account.provider)
    first = account.provider.sandbox.grant.tokens.refresh_token or ""
    grant = oauth.read(refresh(account, first))
    assert (grant.refresh_token not in (None, first)) == oauth.rotates
    again = refresh(account, first)
    if oauth.rotates:
        with pytest.raises(Refused) as caught:
            oauth.read(again)
        assert caught.value.spent
    else:
        assert oauth.read(again).access_token


def test_a_refresh_token_that_nobody_gave_is_of_no_use(account: Account):
    _, oauth = kind_of(account.provider)
    with pytest.raises(Refused) as caught:
        oauth.read(refresh(account, "never given"))
    assert caught.value.spent


def test_an_app_that_is_unknown_or_cannot_prove_itself_spends_nothing(account: Account):
    _, oauth = kind_of(account.provider)
    grant = account.provider.sandbox.grant
    token = grant.tokens.refresh_token or ""
    for keys in (AppKeys("nobody", "x"), replace(grant.app, client_secret="wrong")):
        with pytest.raises(Refused, match="client secret") as caught:
            oauth.read(refresh(account, token, keys))
        assert not caught.value.spent
    assert oauth.read(refresh(account, token)).access_token


def test_a_grant_outlives_a_restart_of_the_sandbox(account: Account):
    _, oauth = kind_of(account.provider)
    token = account.provider.sandbox.grant.tokens.refresh_token or ""
    grant = oauth.read(refresh(account, token))
    again = account.saved()
    again.token = grant.access_token
    assert reads(again)
    assert oauth.read(refresh(again, grant.refresh_token or "")).access_token


def test_a_live_check_tells_whose_a_token_is(account: Account):
    for token in (account.provider.sandbox.token, account.token):
        account.token = token
        found = account.converse(account.provider.inspect(token, None))
        assert found.account == account.name
        assert found.user
        assert [reach.id for reach in found.accounts] == [account.name]
        assert all(isinstance(reach, Reach) and reach.name for reach in found.accounts)
        assert not [lack for lack in found.missing if lack.required]


def test_the_tokens_of_the_grant_may_do_everything(account: Account):
    found = account.converse(account.provider.inspect(account.token, account.name))
    assert found.missing == ()
    assert found.scopes


def test_what_a_token_lacks_is_named_with_what_it_is_for(account: Account):
    provider = account.provider
    weak = READERS[provider.name]
    account.token = weak
    missing = account.converse(provider.inspect(weak, None)).missing
    assert missing
    assert all(isinstance(lack, Lack) and lack.scope and lack.needed_for for lack in missing)


def test_a_token_that_nobody_gave_is_not_recognised(provider: Provider):
    for token in ("nobodys", "pat-nobodys", "", "two\nlines", "x" * 5000):
        account = Account(provider, token or " ")
        with pytest.raises(Unrecognised):
            account.converse(provider.inspect(token, None))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_that_cannot_tell_says_nothing_of_the_token(provider: Provider, status: int):
    conversation = provider.inspect(provider.sandbox.token, None)
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(Response(status, body=b"{}"))


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"null", b"{}"])
def test_an_odd_answer_breaks_no_live_check(provider: Provider, body: bytes):
    conversation = provider.inspect(provider.sandbox.token, "some account")
    next(conversation)
    accounts = []
    with pytest.raises((Refused, Unrecognised, StopIteration)) as caught:
        answered(conversation, Response(200, body=body))
    if isinstance(caught.value, StopIteration):
        accounts.append(caught.value.value.account)
    assert accounts in ([], [None])


def test_a_collection_has_a_handle_that_finds_it_again(account: Account):
    collections = account.discover()
    handles = [account.provider.handle(c.id, c.name) for c in collections]
    assert len(set(handles)) == len(collections)
    for collection, handle in zip(collections, handles, strict=True):
        assert handle in {collection.id, collection.name, *collection.aliases}


def test_no_token_is_shown(provider: Provider):
    grant = provider.sandbox.grant
    shown = repr(grant)
    assert grant.tokens.access_token not in shown
    assert str(grant.tokens.refresh_token) not in shown
    assert str(grant.app.client_secret) not in shown
    assert repr(Grant("hush", "hush")) == "Grant(expires_in=None)"

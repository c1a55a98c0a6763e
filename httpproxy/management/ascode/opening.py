"""The part of a plan that is about what opens accounts: OAuth apps and credentials. Pure."""

from __future__ import annotations

from typing import Any

from httpproxy.management.ascode.current import Current, StoredApp, StoredCredential
from httpproxy.management.ascode.declared import (
    CREDENTIALS,
    OAUTH_APPS,
    DeclaredApp,
    DeclaredCredential,
    at,
)
from httpproxy.management.ascode.drafting import Draft
from httpproxy.management.credentials.entering import kind_of
from httpproxy.management.naming import provider_named
from httpproxy.management.problems import Declined


def stored_app(current: Current, name: str, declared: DeclaredApp) -> StoredApp | None:
    """The app that is meant: of this name, or else of this client id."""
    return current.app(name) or current.of_client.get((declared.provider, declared.client_id))


def plan_app(draft: Draft, name: str, declared: DeclaredApp) -> None:
    """Adds what is to be done about an app, or what is wrong with it, to the draft."""
    try:
        provider_named(declared.provider, "provider")
    except Declined as declined:
        draft.refuse(OAUTH_APPS, name, "provider", declined.detail)
        return
    stored = stored_app(draft.current, name, declared)
    place = at(OAUTH_APPS, name, "client_secret")
    secret = draft.secret(place, declared.client_secret, stored=stored is not None)
    if stored is None:
        draft.make(OAUTH_APPS, name)
        return
    draft.kept.add(stored.app.id)
    if stored.app.provider != declared.provider:
        detail = f"is {stored.app.provider} and cannot be changed; choose another name."
        draft.refuse(OAUTH_APPS, name, "provider", detail)
        return
    keys = stored.keys
    before = {
        "name": stored.app.name,
        "client_id": stored.app.client_id,
        "client_secret": keys.client_secret if keys else None,
    }
    after: dict[str, Any] = {"client_id": declared.client_id}
    if stored.app.id != name:
        after["name"] = name
    if declared.client_secret is None or secret is not None:
        after["client_secret"] = secret
    draft.compare(OAUTH_APPS, name, before, after)


def stored_credential(
    current: Current, name: str, declared: DeclaredCredential
) -> StoredCredential | None:
    """The credential that is meant: of this name or id, or else of the account that is
    named: an account has one."""
    found = current.credential(name)
    if found is None and declared.account is not None:
        provider, _ = kind_of(declared.kind, declared.provider)
        return current.of_account.get((provider.name, declared.account))
    return found


def plan_credential(draft: Draft, name: str, declared: DeclaredCredential) -> None:
    """Adds what is to be done about a credential, or what is wrong with it, to the draft."""
    try:
        provider, kind = kind_of(declared.kind, declared.provider)
    except Declined as declined:
        draft.refuse(CREDENTIALS, name, declined.members["member"], declined.detail)
        return
    stored = stored_credential(draft.current, name, declared)
    app = _app_of(draft, name, declared.oauth_app)
    if stored is None:
        for member in ("access_token", "refresh_token"):
            place = at(CREDENTIALS, name, member)
            draft.secret(place, getattr(declared, member), stored=False)
        draft.make(CREDENTIALS, name)
        return
    has = stored.credential
    draft.kept.add(has.id)
    if has.provider != provider.name:
        detail = f"is of {has.provider}; a credential of {provider.name} needs another name."
        draft.refuse(CREDENTIALS, name, "kind", detail)
        return
    if declared.account not in (None, has.account):
        detail = f"is {has.account} and cannot be changed; choose another name."
        draft.refuse(CREDENTIALS, name, provider.account_property, detail)
        return
    before = {
        "name": has.name,
        "kind": has.kind,
        "oauth_app": _label(draft.current, has.app_id),
        "metadata": has.metadata,
    }
    after: dict[str, Any] = {"kind": kind.name, "metadata": declared.metadata}
    if has.id != name:
        after["name"] = name
    if app is None or app.app.id != has.app_id:
        after["oauth_app"] = declared.oauth_app
    for member, token in _tokens(draft, name, declared, stored).items():
        before[member] = getattr(stored.tokens, member, None)
        after[member] = token
    draft.compare(CREDENTIALS, name, before, after)


def _tokens(
    draft: Draft, name: str, declared: DeclaredCredential, stored: StoredCredential
) -> dict[str, str]:
    """The tokens that a stored credential is to have. Those that are refreshed are not the
    file's any more: it says with which ones they began."""
    refreshed = stored.tokens is not None and stored.tokens.refresh_token is not None
    if refreshed and stored.credential.kind == declared.kind:
        return {}
    found: dict[str, str] = {}
    for member in ("access_token", "refresh_token"):
        place = at(CREDENTIALS, name, member)
        token = draft.secret(place, getattr(declared, member), stored=True)
        if token is not None:
            found[member] = token
    return found


def _app_of(draft: Draft, name: str, wanted: str | None) -> StoredApp | None:
    if wanted is None:
        return None
    declared = draft.declared.oauth_apps.get(wanted)
    if declared is not None:
        return stored_app(draft.current, wanted, declared)
    found = draft.current.app(wanted)
    if found is None:
        detail = f"there is no OAuth app {wanted[:80]!r}, in the file or stored."
        draft.refuse(CREDENTIALS, name, "oauth_app", detail)
    else:
        draft.kept.add(found.app.id)
    return found


def _label(current: Current, app_id: str | None) -> str | None:
    stored = current.oauth_apps.get(app_id or "")
    return stored.label if stored else None

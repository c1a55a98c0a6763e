"""What there is, as the file that declares it. Pure.

Secrets are written as references to variables of the environment, named after what they are
of. What is as it would be without a word is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from httpproxy.management.ascode import toml
from httpproxy.management.ascode.current import (
    Current,
    StoredApp,
    StoredCredential,
    StoredSync,
)
from httpproxy.management.ascode.declared import CREDENTIALS, OAUTH_APPS, SYNCS
from httpproxy.management.ascode.syncs import collection_ids_of, set_limits
from httpproxy.management.columns import ColumnDocument
from providers.catalog import PROVIDERS

_HEAD: Final = """\
# What `httpproxy export` found. `httpproxy apply` makes it so, here or elsewhere: set the
# variables that are named, or name others. docs/as-code.md
"""
_NO_WORD: Final = re.compile(r"[^A-Z0-9]+")


class _Variables:
    """Names for the variables that hold secrets, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def reference(self, label: str, member: str) -> str:
        words = _NO_WORD.sub("_", f"{label}_{member}".upper()).strip("_")
        wanted = words if words[:1].isalpha() else f"SECRET_{words}"
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return f"env:{name}"


def exported(current: Current) -> str:
    """The text of the file. Of syncs, collections and columns have to be there."""
    variables = _Variables()
    parts = [_HEAD]
    parts += [
        _table((OAUTH_APPS, each.label), _app(each, variables))
        for each in current.oauth_apps.values()
    ]
    parts += [
        _table((CREDENTIALS, each.label), _credential(each, current, variables))
        for each in current.credentials.values()
    ]
    for sync in current.syncs.values():
        parts.append(_table((SYNCS, sync.document.name), _sync(sync, current)))
        parts += _columns(sync)
    return "\n".join(parts)


def _table(place: tuple[str, ...], members: Mapping[str, Any]) -> str:
    lines = [f"[{toml.key(*place)}]"]
    lines += [f"{toml.key(name)} = {toml.value(each)}" for name, each in members.items()]
    return "\n".join(lines) + "\n"


def _app(stored: StoredApp, variables: _Variables) -> dict[str, Any]:
    members: dict[str, Any] = {
        "provider": stored.app.provider,
        "client_id": stored.app.client_id,
    }
    if stored.app.secret is not None:
        members["client_secret"] = variables.reference(stored.label, "client_secret")
    return members


def _credential(
    stored: StoredCredential, current: Current, variables: _Variables
) -> dict[str, Any]:
    credential, label = stored.credential, stored.label
    members: dict[str, Any] = {
        "kind": credential.kind,
        PROVIDERS[credential.provider].account_property: credential.account,
        "access_token": variables.reference(label, "access_token"),
    }
    if stored.tokens is not None and stored.tokens.refresh_token is not None:
        members["refresh_token"] = variables.reference(label, "refresh_token")
    app = current.oauth_apps.get(credential.app_id or "")
    if app is not None:
        members["oauth_app"] = app.label
    return members | _metadata(credential.metadata)


def _sync(stored: StoredSync, current: Current) -> dict[str, Any]:
    document = stored.document
    members: dict[str, Any] = {"provider": document.provider}
    credential = current.credentials.get(document.credential_id or "")
    if credential is not None:
        members["credential"] = credential.label
    members["account"] = document.account
    members["schema"] = document.schema_
    if (ids := collection_ids_of(stored)) is not None:
        members["collection_ids"] = ids
    if document.status != "active":
        members["status"] = document.status
    if document.external_id is not None:
        members["external_id"] = document.external_id
    if limits := set_limits(document):
        members["rate_limits"] = limits
    return members | _metadata(document.metadata)


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    if not metadata:
        return {}
    try:
        toml.value(metadata)
    except TypeError:  # a null: as a text of JSON
        return {"metadata": orjson.dumps(metadata).decode()}
    return {"metadata": metadata}


def _columns(stored: StoredSync) -> Iterator[str]:
    """A table for each collection that has columns as somebody wanted them."""
    by_collection: dict[str, dict[str, Any]] = {}
    for column in stored.columns:
        if wish := _wish(column):
            by_collection.setdefault(column.collection_id, {})[column.field_id] = wish
    for collection, fields in by_collection.items():
        yield _table((SYNCS, stored.document.name, "columns", collection), fields)


def _wish(column: ColumnDocument) -> dict[str, Any]:
    wish: dict[str, Any] = {}
    if column.own_name and column.name is not None:
        wish["name"] = column.name
    elif column.locked and not column.own_name:
        wish["locked"] = True
    if not column.selected:
        wish["selected"] = False
    return wish

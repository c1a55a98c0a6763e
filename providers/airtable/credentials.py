"""Airtable's credentials: what they are made of, how they are refreshed and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from providers.airtable.calls import request
from providers.airtable.refusals import SCHEMA_REMEDY, refused, unreadable
from providers.body import read_json
from providers.credentials import (
    AppKeys,
    CredentialKind,
    Inspection,
    Lack,
    OAuth,
    Property,
    Reach,
)
from providers.http import Request
from providers.oauth import ACCESS_TOKEN, OAUTH_APP, TOKEN, basic, read_grant, token_request
from providers.record import JSON
from providers.spec import Conversation, Unreadable, Unrecognised

TOKEN_HOST: Final = "airtable.com"  # noqa: S105  # a host name
ACCOUNT_PROPERTY: Final = "base_id"

# scope -> (what it is needed for, whether nothing can be synced without it)
SCOPES: Final = {
    "schema.bases:read": ("discovering tables and fields", True),
    "data.records:read": ("listing records and reading them again", True),
    "data.records:write": ("writing records with this credential", False),
    "webhook:manage": ("hearing of changes, deletions above all, at once", False),
}
_WRITING: Final = ("edit", "create", "owner")
_MOST_PAGES: Final = 20
_WHO: Final = "The token is refused for what every token may ask: make a new one."


def refresh(app: AppKeys, refresh_token: str) -> Request:
    """The call for new tokens (https://airtable.com/developers/web/api/oauth-reference)."""
    form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)]
    if app.client_secret is None:
        form.append(("client_id", app.client_id))
        return token_request(TOKEN_HOST, "/oauth2/v1/token", form)
    proof = ("Authorization", basic(app.client_id, app.client_secret))
    return token_request(TOKEN_HOST, "/oauth2/v1/token", form, proof)


BASE: Final = Property(
    ACCOUNT_PROPERTY,
    "Base",
    "The base's id, app…: the part after airtable.com/ in its URL. It may be left out if"
    " the token reaches one base only.",
)
PERSONAL: Final = CredentialKind(
    "airtable_token",
    "Personal access token",
    "Make one at https://airtable.com/create/tokens with the scopes data.records:read, "
    "data.records:write, schema.bases:read and, to hear of deletions at once, "
    "webhook:manage, and with access to the base.",
    (
        Property("access_token", "Token", "The token, pat….", secret=True, required=True),
        BASE,
    ),
)
OAUTH2: Final = CredentialKind(
    "airtable_oauth2",
    "OAuth tokens",
    "The access token of an OAuth integration (https://airtable.com/create/oauth) with the "
    "scopes data.records:read, data.records:write, schema.bases:read and, to hear of "
    "deletions at once, webhook:manage. It lives for an hour: with the refresh token and "
    "the OAuth app it is renewed.",
    (
        ACCESS_TOKEN,
        Property(
            "refresh_token",
            "Refresh token",
            "What it gave as refresh_token. It is used once, so nobody else may use it.",
            secret=True,
        ),
        OAUTH_APP,
        BASE,
    ),
    OAuth(refresh, read_grant, rotates=True),
)


@dataclass(frozen=True, slots=True)
class _Base:
    id: str
    name: str
    level: str


def inspect(token: str, account: str | None) -> Conversation[Inspection]:
    """Which bases the token reaches and what it may do there; `account` is a base.

    Airtable tells the scopes of OAuth tokens alone: those of others show by what it
    refuses, for as far as reading can tell. Raises Unrecognised, Refused.
    """
    if not TOKEN.fullmatch(token):
        raise Unrecognised
    me = yield from _asked("/v0/meta/whoami", _WHO)
    told = me.get("scopes") if me is not None else None
    scopes = tuple(s for s in told if isinstance(s, str)) if isinstance(told, list) else None
    bases = yield from _bases()
    reached = {base.id: base for base in bases or ()}
    base = reached.get(account) if account is not None else None
    if account is None and len(reached) == 1:
        (base,) = reached.values()
    if scopes is None:
        lacking = yield from _probed(base, listed=bases is not None)
    else:
        lacking = {scope for scope in SCOPES if scope not in scopes}
    user = me.get("id") if me is not None else None
    return Inspection(
        account=base.id if base is not None else None,
        accounts=tuple(Reach(each.id, each.name) for each in reached.values()),
        user=user if isinstance(user, str) else None,
        scopes=scopes,
        missing=(*_lacks(lacking), *_permissions(base)),
    )


def _lacks(scopes: set[str]) -> tuple[Lack, ...]:
    return tuple(Lack(s, *SCOPES[s]) for s in SCOPES if s in scopes)


def _permissions(base: _Base | None) -> tuple[Lack, ...]:
    """What no scope gives where the token's user has too little of a say in the base."""
    if base is None or base.level in _WRITING:
        return ()
    needed = f"writing records: the token's user may only {base.level} in {base.name}"
    return (Lack("permission level edit", needed, required=False),)


def _bases() -> Conversation[tuple[_Base, ...] | None]:
    """The bases that the token reaches; None if it may not ask."""
    found: list[_Base] = []
    offset = ""
    for _ in range(_MOST_PAGES):
        query = f"?offset={quote(offset, safe='')}" if offset else ""
        answer = yield from _asked(f"/v0/meta/bases{query}", SCHEMA_REMEDY)
        if answer is None:
            return None
        listed = answer.get("bases")
        found.extend(b for b in map(_base, listed if isinstance(listed, list) else ()) if b)
        after = answer.get("offset")
        if not isinstance(after, str) or not after:
            break
        offset = after
    return tuple(found)


def _base(value: JSON) -> _Base | None:
    if not isinstance(value, dict):
        return None
    id_, name, level = (value.get(n) for n in ("id", "name", "permissionLevel"))
    if not isinstance(id_, str) or not id_ or level == "none":
        return None
    return _Base(id_, str(name or id_), str(level or "edit"))


def _probed(base: _Base | None, *, listed: bool) -> Conversation[set[str]]:
    """The scopes that are seen to be missing, by what the token is refused in a base."""
    if not listed:
        return {"schema.bases:read"}
    if base is None:
        return set()
    lacking: set[str] = set()
    id_ = quote(base.id, safe="")
    answer = yield from _asked(f"/v0/meta/bases/{id_}/tables", SCHEMA_REMEDY)
    tables = answer.get("tables") if answer is not None else None
    first = tables[0] if isinstance(tables, list) and tables else None
    table = first.get("id") if isinstance(first, dict) else None
    probes = [("webhook:manage", f"/v0/bases/{id_}/webhooks")]
    if isinstance(table, str):
        path = f"/v0/{id_}/{quote(table, safe='')}?maxRecords=1"
        probes.append(("data.records:read", path))
    for scope, target in probes:
        if (yield from _asked(target, SCHEMA_REMEDY)) is None:
            lacking.add(scope)
    return lacking


def _asked(target: str, remedy: str) -> Conversation[dict[str, JSON] | None]:
    """A read's answer; None for one that the token is not allowed (403)."""
    response = yield request("GET", target)
    if response.status == 401:
        raise Unrecognised
    if response.status == 403:
        return None
    if not response.ok:
        raise refused(response, remedy)
    try:
        answer = read_json(response)
    except Unreadable as error:
        raise unreadable(response) from error
    if not isinstance(answer, dict):
        raise unreadable(response)
    return answer

"""An API key of ours in the place of the account's own token.

    Authorization: Bearer hpk_…     what the caller sends: it is checked, and goes no further
    Authorization: Bearer pat…      what the API gets: the sync's stored credential

Who holds a key needs no token of the API. The credential goes to the account that it was
stored for and is not asked about anew; what the caller may do with it, the key's scope and
sync say. A call that carries anything else in Authorization is none of this.
"""

from __future__ import annotations

from typing import Final

from multidict import MultiMapping, istr

from httpproxy.exchange.attempt import Call
from httpproxy.exchange.conversations import Conversations
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.problems import Rejected, database_away
from httpproxy.exchange.tokens.access import Tokens
from httpproxy.store.secrets.keys import Key, Keys, Scope
from providers.http import Request
from providers.spec import Action, Route

AUTHORIZATION: Final = istr("Authorization")
PREFIX: Final = "hpk_"  # no token of an API begins like this
CHALLENGE: Final = 'Bearer realm="httpproxy"'
_SCHEME: Final = "bearer "
_UNKNOWN: Final = "the API key could not be looked up"


def key_among(headers: MultiMapping[str]) -> str | None:
    """The text of the API key that a call carries, None if it carries none of ours.

    Raises Rejected (400) for one beside another Authorization: which one counts would be
    anybody's guess, and the wrong guess tells an API our key.
    """
    values = headers.getall(AUTHORIZATION, ())
    for value in values:
        if PREFIX in value and (text := _ours(value)) is not None:
            if len(values) > 1:
                raise Rejected("bad_header", "Send one Authorization header, not several.")
            return text
    return None


def _ours(value: str) -> str | None:
    scheme, text = value[: len(_SCHEME)], value[len(_SCHEME) :].strip()
    return text if scheme.lower() == _SCHEME and text.startswith(PREFIX) else None


def scope_of(route: Route) -> Scope:
    """What a key must allow for a call of this route."""
    return "read" if route.action is Action.READ else "write"


def require(key: Key, sync_id: str | None, route: Route) -> None:
    """Raises Rejected (403) unless the key opens a call of this route for the sync; for None,
    for what is no sync's own."""
    scope = scope_of(route)
    if key.allows(scope, sync_id):
        return
    if key.sync_id not in (None, sync_id):
        raise Rejected(
            "key_not_allowed",
            "The API key is for another sync. Send a key of this one, or the API's own token.",
        )
    raise Rejected(
        "key_not_allowed",
        f"This call takes the scope {scope}, which the API key lacks."
        " `httpproxy keys create --scope` makes one that has it.",
    )


class StandIn:
    """Puts stored credentials in the place of API keys."""

    def __init__(self, keys: Keys, conversations: Conversations, tokens: Tokens) -> None:
        self._keys = keys
        self._conversations = conversations
        self._tokens = tokens

    async def admit(self, text: str, live: Live, route: Route) -> None:
        """Whether the key with this text opens this call of the sync.

        Raises Rejected: 401 for a key that is none, 403 for one that may not, 502 if the
        database is away and the key was not seen lately. Nothing was sent then.
        """
        try:
            key = await self._keys.verify(text)
        except OSError as error:
            raise database_away(_UNKNOWN) from error
        if key is None:
            raise Rejected(
                "unknown_key",
                "This API key is unknown, expired or revoked."
                " `httpproxy keys list` shows those that are valid.",
            )
        require(key, live.sync.id, route)

    async def ready(self, call: Call, mark: bytes) -> Call:
        """The call with the sync's stored credential as its one Authorization.

        `mark` is the key's (`Accounts.mark` of the headers that hold it). Raises Rejected:
        409 if the sync has no credential, or one that gives no token; 502 if the database
        is away.
        """
        live, bare = call.live, call.request
        try:
            secret = await self._conversations.secret(live)
        except OSError as error:
            raise database_away(_UNKNOWN) from error
        except LookupError as error:
            raise Rejected(
                "credential_missing",
                "This sync holds no credential that an API key could stand for. Store one,"
                " or send the API's own token.",
            ) from error
        stored = live.sync.credential_id or ""

        async def renew() -> Request | None:
            again = await self._tokens.replaced(stored, secret)
            return None if again is None else live.provider.authorize(bare, again)

        request = live.provider.authorize(bare, secret)
        return call._replace(request=request, verified=True, caller=mark, renew=renew)

"""Refreshing an access token by the rules of RFC 6749, section 6.

The providers' token endpoints differ in where they are and in how an app proves itself;
what is asked and how the answer reads is the same, and is here. Answers are believed no
further than that: what is no token is Refused, for a token that cannot be read would be
kept in place of one that works. What a credential of OAuth tokens has at every provider is
here as well. `asked` is the endpoint's own side, for those who simulate one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from providers.body import read_json
from providers.credentials import AppKeys, Grant, Property
from providers.http import Request, Response, headers
from providers.record import JSON
from providers.spec import Refused, Unreadable

# What may stand in a header: RFC 6750 has less, some tokens have more.
TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)
# What says that the grant itself is gone, in RFC 6749's word and in HubSpot's.
_SPENT: Final = frozenset({"invalid_grant", "BAD_REFRESH_TOKEN"})
_BAD_APP: Final = frozenset(
    {"invalid_client", "unauthorized_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"}
)
_ANEW: Final = (
    "Let the account's owner authorise the app again, and store the tokens that it is given"
    " in the credential."
)
_CHECK_APP: Final = "Check the client id and the client secret of the OAuth app."
_LATER: Final = "It is tried again by itself."
_CHECK: Final = "Check the OAuth app, and the upstream that is configured for the token host."

ACCESS_TOKEN: Final = Property(
    "access_token",
    "Access token",
    "What the token endpoint gave as access_token.",
    secret=True,
    required=True,
)
OAUTH_APP: Final = Property(
    "oauth_app_id", "OAuth app", "The app that the tokens were given to, app_…."
)


def token_request(
    host: str, path: str, form: Iterable[tuple[str, str]], *fields: tuple[str, str]
) -> Request:
    """A POST of a form to a token endpoint, with these further headers."""
    content = ("Content-Type", "application/x-www-form-urlencoded")
    accept = ("Accept", "application/json")
    body = urlencode(tuple(form)).encode()
    return Request("POST", host, path, headers(accept, content, *fields), body)


def basic(client_id: str, client_secret: str) -> str:
    """An Authorization by which an app proves itself: both parts form-encoded first."""
    pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def read_grant(response: Response) -> Grant:
    """What a token endpoint gave. Raises Refused, `spent` if the grant itself is gone."""
    body = _object(response)
    if not response.ok:
        raise _refused(response, body)
    access, refresh = _token(body.get("access_token")), body.get("refresh_token")
    if access is None or (refresh is not None and _token(refresh) is None):
        raise Refused(response, "the answer holds no token that can be read", _CHECK)
    return Grant(access, _token(refresh), _seconds(body.get("expires_in")))


def _refused(response: Response, body: dict[str, JSON]) -> Refused:
    code = next((c for n in ("error", "status") if isinstance(c := body.get(n), str)), "")
    codes = {body[n] for n in ("error", "status") if isinstance(body.get(n), str)}
    told = next(
        (t for n in ("error_description", "message") if isinstance(t := body.get(n), str)), ""
    )
    said = ": ".join(part for part in (code, told) if part) or "no reason was given"
    spent = bool(codes & _SPENT)
    if spent:
        remedy = _ANEW
    elif codes & _BAD_APP or response.status == 401:
        remedy = _CHECK_APP
    else:
        remedy = _LATER if response.status >= 500 or response.status in (409, 429) else _CHECK
    return Refused(response, said, remedy, spent=spent)


def _object(response: Response) -> dict[str, JSON]:
    try:
        body = read_json(response)
    except Unreadable:
        return {}
    return body if isinstance(body, dict) else {}


def _token(value: JSON) -> str | None:
    return value if isinstance(value, str) and TOKEN.fullmatch(value) else None


def _seconds(value: JSON) -> float | None:
    """How long a token lives; None for what is no time, or one without an end."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 10**9 else None


def asked(request: Request) -> tuple[dict[str, str], AppKeys]:
    """What a call to a token endpoint asks for: its form, and what the app proves itself by,
    in a header or in the form."""
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form, AppKeys(form.get("client_id", ""), form.get("client_secret"))
    try:
        pair = base64.b64decode(proof, validate=True).decode()
    except ValueError:
        return form, AppKeys("", "")
    client_id, _, client_secret = pair.partition(":")
    return form, AppKeys(unquote(client_id), unquote(client_secret))


def secrets_in(request: Request) -> tuple[str, ...]:
    """What a call to a token endpoint holds that nobody may be told."""
    form, app = asked(request)
    proof = request.headers.get("Authorization", "").partition(" ")[2]
    return tuple(filter(None, (form.get("refresh_token"), app.client_secret, proof)))

"""What a setting may be: types that check and clean a value, and the words for them.

A check raises ValueError without a text: what the setting takes is said in words beside
its description, and shown with the place where it was set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*", re.ASCII)
# Both forms that libpq takes: a URL, and "host=… dbname=…".
_DSN: Final = re.compile(r"postgres(ql)?://|\s*[a-z_]+\s*=", re.ASCII)
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]*\]|[^:\[\]@/#\s]*)(?::\d{0,5})?")
EXPECTED: Final = "expected"
ROLES: Final = ("gateway", "sync", "api")


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError
    _ = parts.port  # raises ValueError beyond 65535
    return f"{parts.scheme}://{parts.netloc}"


def _public(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError
    if parts.query or parts.fragment or parts.username:
        raise ValueError
    return value.rstrip("/")


def _origins(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {str(host): _origin(str(origin)) for host, origin in value.items()}


def _dsn(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        if not _DSN.match(text):
            raise ValueError
        if "://" in text:
            _check_authority(text)
    return value


def _check_authority(url: str) -> None:
    """Refuses a password with signs that end it early: libpq would take the rest of it for
    a host or a port, and say so in its errors."""
    authority, slash, rest = url.partition("://")[2].partition("/")
    authority = authority.partition("?")[0]
    path = rest.partition("?")[0] if slash else ""
    hosts = authority.rpartition("@")[2].split(",")
    if authority.count("@") > 1 or "@" in path or not all(map(_HOST.fullmatch, hosts)):
        raise ValueError


def _pseudonym(value: Any) -> Any:
    if isinstance(value, str) and not _TOKEN.fullmatch(value):
        raise ValueError
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def setting(default: Any, description: str, expected: str, **limits: Any) -> Any:
    """A field with what it does and what it takes in words; both are shown to operators."""
    return Field(
        default, description=description, json_schema_extra={EXPECTED: expected}, **limits
    )


def _roles(value: Any) -> Any:
    """Names in a list, or in a text with commas; each once, in the order of ROLES."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError  # noqa: TRY004 - a TypeError would not become the setting's problem
    chosen = {str(name).strip().lower() for name in names}
    if not chosen or not chosen.issubset(ROLES):
        raise ValueError
    return tuple(role for role in ROLES if role in chosen)


def _networks(value: Any) -> Any:
    """Addresses and networks in a list, or in a text with commas."""
    written = value.split(",") if isinstance(value, str) else value
    if not isinstance(written, list | tuple):
        raise ValueError  # noqa: TRY004 - a TypeError would not become the setting's problem
    found = [str(each).strip() for each in written if str(each).strip()]
    for each in found:
        ip_network(each)  # raises ValueError
    return tuple(found)


def _endpoint(value: Any) -> Any:
    """A collector's address; OTLP's own path is added to one that has none."""
    found = _public(value)
    if isinstance(found, str) and not urlsplit(found).path:
        return f"{found}/v1/traces"
    return found


def _replicas(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if not all(_TOKEN.fullmatch(str(name)) for name in value):
        raise ValueError
    return {str(name): _dsn(dsn) for name, dsn in value.items()}


def _secret_keys(value: Any) -> Any:
    """Keys in a list, in a list as JSON (for keys with commas in them), or in a text with
    commas between them."""
    keys = value
    if isinstance(value, str):
        keys = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(keys, list | tuple):
        raise ValueError  # noqa: TRY004 - a TypeError would not become the setting's problem
    return tuple(key.strip() if isinstance(key, str) else key for key in keys if key)


def _days(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "forever" else value


SecretKeys = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=32)], ...],
    NoDecode,
    BeforeValidator(_secret_keys),
]
Dsn = Annotated[SecretStr | None, BeforeValidator(_dsn)]
PublicUrl = Annotated[str | None, BeforeValidator(_public)]
Pseudonym = Annotated[str, BeforeValidator(_pseudonym)]
Origins = Annotated[dict[str, str], BeforeValidator(_origins)]
Level = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_lower)]
OnDatabaseDown = Annotated[Literal["refuse", "forward"], BeforeValidator(_lower)]
# NoDecode: a variable holds plain names, not JSON.
Roles = Annotated[
    tuple[Literal["gateway", "sync", "api"], ...], NoDecode, BeforeValidator(_roles)
]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]
Endpoint = Annotated[str | None, BeforeValidator(_endpoint)]
Replicas = Annotated[dict[str, SecretStr], BeforeValidator(_replicas)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Days = Annotated[
    Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] | None, BeforeValidator(_days)
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]

PORT: Final = "a port from 0 to 65535; 0 takes a free one"
SECONDS: Final = "seconds, more than 0 and at most 86400"
DAYS: Final = "days, more than 0 and at most 36500, or `forever`"
SIZE: Final = "a number of bytes, or a size such as 16 MiB"
SHARE: Final = "a number from 0 to 1"
COUNT: Final = "a whole number of at least 0"
AT_LEAST_ONE: Final = "a whole number of at least 1"

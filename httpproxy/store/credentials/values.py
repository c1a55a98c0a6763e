"""Credentials, as they are given to be kept and as they are read.

The secret of one is the access token, or both tokens as JSON where there is one to refresh
it by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from httpproxy.store.secrets.vault import Secret
from providers.record import JSON


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token, and what it is refreshed by. `repr` shows neither."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)

    def written(self) -> Secret:
        """As it is sealed."""
        if self.refresh_token is None:
            return Secret(self.access_token)
        both = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        return Secret(json.dumps(both))

    @classmethod
    def read(cls, secret: Secret) -> TokenPair:
        """What `written` wrote."""
        text = secret.reveal()
        return cls(**json.loads(text)) if text.startswith("{") else cls(text)

    @property
    def mark(self) -> bytes | None:
        """By what the same refresh token is found again: its SHA-256. Of 256 random bits,
        it says nothing."""
        token = self.refresh_token
        return None if token is None else sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class CredentialDraft:
    """A credential to be saved.

    `name`, `metadata` and `properties` None: what the account's credential has, stays.
    `expires_in` is how many seconds the access token is good for, None if it is not known or
    for ever; `refresh_in` when it is to be refreshed, None: never. `implicit`: it goes with
    its last sync.
    """

    provider: str
    account: str
    kind: str
    tokens: TokenPair
    name: str | None = None
    metadata: Mapping[str, JSON] | None = None
    properties: Mapping[str, JSON] | None = None
    app_id: str | None = None
    expires_in: float | None = None
    refresh_in: float | None = None
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as it is kept. `properties` are what is no secret; `expires_at` is the
    access token's, None: never, or unknown; `trouble` says why it cannot be used."""

    id: str
    provider: str
    account: str
    kind: str
    name: str | None
    metadata: dict[str, JSON]
    properties: dict[str, JSON]
    implicit: bool
    app_id: str | None
    secret: bytes = field(repr=False)
    generation: int
    expires_at: datetime | None
    refreshed_at: datetime | None
    trouble: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewTokens:
    """Tokens that replace those of a credential; `expires_in` and `refresh_in` as in
    CredentialDraft."""

    tokens: TokenPair
    expires_in: float | None = None
    refresh_in: float | None = None


@dataclass(frozen=True, slots=True)
class CredentialFilter:
    """Which credentials a list has; None: any. `metadata` is contained in theirs."""

    provider: str | None = None
    account: str | None = None
    kind: str | None = None
    app_id: str | None = None
    metadata: Mapping[str, JSON] | None = None

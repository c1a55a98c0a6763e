"""Where a door stands: its address, and the API roots behind it."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from neighbours.rawclient import RawClient, connect


@dataclass(frozen=True, slots=True)
class Door:
    """A listening gateway (or nginx before it, with `tls`) and one sync's unique id."""

    host: str
    port: int
    unique_id: str
    tls: ssl.SSLContext | None = None

    @property
    def behind_nginx(self) -> bool:
        return self.tls is not None

    def connect(self) -> AbstractAsyncContextManager[RawClient]:
        """A connection to the door, closed at the end."""
        return connect(self.host, self.port, self.tls)

    def root(self, api: str) -> str:
        """The path under which the API with this host name is reached."""
        return f"/{self.unique_id}/{api}"

    def url(self, api: str) -> str:
        """The base URL that a client is given."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.host}:{self.port}{self.root(api)}"

"""Where a door stands: its address, and the API roots behind it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """A listening gateway (or what stands before it) and one sync's unique id."""

    host: str
    port: int
    unique_id: str

    def root(self, api: str) -> str:
        """The path under which the API with this host name is reached."""
        return f"/{self.unique_id}/{api}"

    def url(self, api: str) -> str:
        """The base URL that a client is given."""
        return f"http://{self.host}:{self.port}{self.root(api)}"

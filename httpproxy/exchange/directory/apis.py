"""The APIs there are, as an exchange needs them: provider and router, and how their clients
want to be refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from httpproxy.exchange.problems import Refusal
from providers.catalog import PROVIDERS
from providers.routing import Router
from providers.spec import Provider


@dataclass(frozen=True, slots=True)
class Api:
    """A provider and the router over its table: one for all its syncs."""

    provider: Provider
    router: Router


APIS: Final[Mapping[str, Api]] = {
    name: Api(provider, Router(provider)) for name, provider in PROVIDERS.items()
}

HOST_HINTS: Final[Mapping[str, str]] = {
    wrong: right for p in PROVIDERS.values() for wrong, right in p.host_hints.items()
}
"""Host names that users mistake for an API's -> the right one."""

REFUSALS: Final[Mapping[str, Refusal]] = {
    host: p.refusal for p in PROVIDERS.values() for host in (*p.hosts, *p.host_hints)
}
"""Host name -> how the clients that call it want to be refused."""

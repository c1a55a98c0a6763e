"""What the handlers of /v1 work with."""

from __future__ import annotations

from dataclasses import dataclass

from httpproxy.exchange.relay import Relay
from httpproxy.management.services import Services
from httpproxy.mutations.run import Mutations
from httpproxy.office import Office
from httpproxy.store.replicas import Replicas
from httpproxy.streams.reading import Streams


@dataclass(frozen=True)
class House:
    """The services behind the door.

    services   management: credentials, syncs, keys …
    replicas   what can be waited for
    relay      carries calls of the APIs themselves
    mutations  changes records at the APIs
    streams    events and records
    """

    office: Office
    services: Services
    replicas: Replicas
    relay: Relay
    mutations: Mutations
    streams: Streams

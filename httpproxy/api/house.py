"""What the handlers of /v1 work with."""

from __future__ import annotations

from dataclasses import dataclass

from httpproxy.management.services import Services
from httpproxy.office import Office
from httpproxy.store.replicas import Replicas


@dataclass(frozen=True)
class House:
    """The services behind the door.

    services   management: credentials, syncs, keys …
    replicas   what can be waited for
    """

    office: Office
    services: Services
    replicas: Replicas

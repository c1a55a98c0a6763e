"""What manages what: made once for a process, from what works on the registry."""

from __future__ import annotations

import time
from dataclasses import dataclass

from httpproxy.management.collections import Collections
from httpproxy.management.columns import Columns
from httpproxy.management.credentials.oauth_apps import OAuthApps
from httpproxy.management.credentials.service import Credentials
from httpproxy.management.intents import OpenIntents
from httpproxy.management.keys import ApiKeys
from httpproxy.management.schema import Schemas
from httpproxy.management.syncs.service import Syncs
from httpproxy.management.syncs.steering import Steering
from httpproxy.office import Office
from httpproxy.store.secrets.keys import Keys


@dataclass(frozen=True)
class Services:
    """The services of `management`, one for each kind of thing."""

    office: Office
    keys: ApiKeys
    credentials: Credentials
    oauth_apps: OAuthApps
    collections: Collections
    columns: Columns
    syncs: Syncs
    steering: Steering
    schemas: Schemas
    intents: OpenIntents


def make_services(office: Office, keys: Keys | None = None) -> Services:
    """The services, on the database and the clients of an office; with the API keys that a
    door goes by, if there is one."""
    credentials = Credentials(office)
    return Services(
        office=office,
        keys=ApiKeys(keys or Keys(office.database, time.monotonic), office.registry.sync),
        credentials=credentials,
        oauth_apps=OAuthApps(office),
        collections=Collections(office, credentials),
        columns=Columns(office),
        syncs=Syncs(office, credentials),
        steering=Steering(office),
        schemas=Schemas(office),
        intents=OpenIntents(office),
    )

"""Every operation of /v1: the one table that the router, the checks and the OpenAPI
document are made of.
"""

from __future__ import annotations

from typing import Final

from httpproxy.api.operations import Operation
from httpproxy.api.resources import (
    collections,
    columns,
    credentials,
    events,
    intents,
    keys,
    mutations,
    oauth_apps,
    proxy,
    records,
    steering,
    syncs,
    waiting,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *collections.OPERATIONS,
    *columns.OPERATIONS,
    *credentials.OPERATIONS,
    *events.OPERATIONS,
    *intents.OPERATIONS,
    *keys.OPERATIONS,
    *mutations.OPERATIONS,
    *oauth_apps.OPERATIONS,
    *proxy.OPERATIONS,
    *records.OPERATIONS,
    *steering.OPERATIONS,
    *syncs.OPERATIONS,
    *waiting.OPERATIONS,
)

"""API keys for tests, made as `httpproxy keys create` makes them."""

from __future__ import annotations

import time
from typing import Any

from httpproxy.store.secrets.keys import Keys, Scope
from neighbours.house import House


async def new_key(house: House, *scopes: Scope, **options: Any) -> str:
    """The text of a new key; `options` are those of `Keys.create`."""
    keys = Keys(house.service.office.database, time.monotonic)
    _, text = await keys.create(f"key {time.monotonic_ns()}", scopes, **options)
    return text.reveal()

"""A sync as the command line shows it: the members of its JSON form."""

from __future__ import annotations

from typing import Any

from httpproxy.office import api_root
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS


def summary(sync: Sync, tables: SyncTables, gateway_url: str) -> dict[str, Any]:
    """Everything that is shown of a sync; never its credential."""
    return {
        "id": sync.id,
        "name": sync.name,
        "provider": sync.provider,
        "account": sync.account,
        "status": sync.status,
        "schema": sync.schema_name,
        "api_root": api_root(gateway_url, sync),
        "rates": _rates(sync),
        "tables": _tables(tables),
    }


def _rates(sync: Sync) -> list[dict[str, Any]]:
    """What the sync may use per budget. `source`: the user has set it, or it is the
    provider's default, which gives way to what the API's answers state."""
    defaults = PROVIDERS[sync.provider].default_rates
    chosen = {rate.name: (rate, "default") for rate in defaults}
    chosen.update({rate.name: (rate, "set") for rate in sync.rates})
    return [
        {
            "budget": rate.name,
            "allowed_requests": rate.allowed_requests,
            "interval": rate.interval,
            "max_concurrent_requests": rate.max_concurrent_requests,
            "source": source,
        }
        for rate, source in chosen.values()
    ]


def _tables(tables: SyncTables) -> list[dict[str, Any]]:
    return [
        {
            "name": table.name,
            "collection": table.collection.name,
            "columns": [
                {
                    "name": column.name,
                    "type": column.field.column_type.value,
                    "field": column.field.name,
                }
                for column in table.columns
            ],
        }
        for table in tables.tables.values()
    ]

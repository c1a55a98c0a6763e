"""A sync as the command line shows it: the members of its JSON form."""

from __future__ import annotations

from typing import Any

from httpproxy.service import api_root
from httpproxy.store.registry import Sync
from httpproxy.store.tables import SyncTables


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
        "rates": [
            {
                "budget": rate.name,
                "allowed_requests": rate.allowed_requests,
                "interval": rate.interval,
                "max_concurrent_requests": rate.max_concurrent_requests,
            }
            for rate in sync.rates
        ],
        "tables": _tables(tables),
    }


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

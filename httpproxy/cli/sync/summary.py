"""A sync as the command line shows it: the API's document, its tables' columns, its rates."""

from __future__ import annotations

from typing import Any

from httpproxy.management.syncs.documents import SyncDocument
from httpproxy.store.layouts.tables import SyncTables


def summary(document: SyncDocument, tables: SyncTables) -> dict[str, Any]:
    """Everything that is shown of a sync; never its credential."""
    return {
        **document.model_dump(mode="json", by_alias=True),
        "rates": [
            {"budget": name, **limit.model_dump()}
            for name, limit in document.rate_limits.items()
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

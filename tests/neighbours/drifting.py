"""A base of the Airtable sandbox whose tables and fields change, as a colleague's would.

What no API can do (another type, a deleted field) is done to the simulator's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from neighbours.sandboxes import Sandboxes
from providers.catalog import PROVIDERS

KIT = PROVIDERS["airtable"].sandbox
API = "api.airtable.com"


@dataclass(frozen=True)
class Base:
    """The seeded base. Tables and fields are named as the base shows them."""

    apis: Sandboxes

    @contextmanager
    def _tables(self) -> Iterator[dict[str, Any]]:
        state: Any = self.apis.simulators.dump()
        yield state["airtable"]["bases"][KIT.account]["tables"]
        self.apis.simulators.load(state)

    @contextmanager
    def _table(self, name: str) -> Iterator[dict[str, Any]]:
        with self._tables() as tables:
            yield next(t for t in tables.values() if name in (t["name"], t["id"]))

    def rename(self, table: str, names: dict[str, str]) -> None:
        """Renames fields, all at once: two may swap their names."""
        with self._table(table) as found:
            for field in found["fields"].values():
                field["name"] = names.get(field["name"], field["name"])

    def retype(
        self, table: str, field: str, kind: str, convert: Callable[[Any], Any], **options: Any
    ) -> None:
        """Gives a field another type; `convert` is what becomes of a cell, None empties."""
        with self._table(table) as found:
            chosen = next(f for f in found["fields"].values() if f["name"] == field)
            chosen["type"], chosen["options"] = kind, options
            for record in found["records"].values():
                held = record["cells"].pop(chosen["id"], None)
                if held is not None and (now := convert(held)) is not None:
                    record["cells"][chosen["id"]] = now

    def delete_field(self, table: str, field: str) -> dict[str, Any]:
        """Deletes a field; what it was is for `restore_field`."""
        with self._table(table) as found:
            gone = next(f for f in found["fields"].values() if f["name"] == field)
            del found["fields"][gone["id"]]
            return dict(gone)

    def restore_field(self, table: str, field: dict[str, Any]) -> None:
        """Takes the deletion back, as Airtable's trash does; its cells are empty."""
        with self._table(table) as found:
            found["fields"][field["id"]] = field

    def delete_table(self, name: str) -> dict[str, Any]:
        """Deletes a table; what it was is for `restore_table`."""
        with self._tables() as tables:
            gone = next(t for t in tables.values() if t["name"] == name)
            return dict(tables.pop(gone["id"]))

    def restore_table(self, table: dict[str, Any]) -> None:
        with self._tables() as tables:
            tables[table["id"]] = table

    def rename_table(self, name: str, new: str) -> None:
        with self._table(name) as found:
            found["name"] = new

    def add_table(self, name: str) -> str:
        """A new table with one field, "Name"; its id."""
        fields = [{"name": "Name", "type": "singleLineText"}]
        made = self.ask("POST", f"/v0/meta/bases/{KIT.account}/tables",
                        {"name": name, "fields": fields})  # fmt: skip
        return str(made["id"])

    def add_field(self, table_id: str, name: str, kind: str, **options: Any) -> None:
        path = f"/v0/meta/bases/{KIT.account}/tables/{table_id}/fields"
        self.ask("POST", path, {"name": name, "type": kind, "options": options})

    def create(self, table: str, *records: dict[str, Any]) -> list[str]:
        """Makes records past our gateway; their ids."""
        body = {"records": [{"fields": fields} for fields in records]}
        made = self.ask("POST", f"/v0/{KIT.account}/{table}", body)
        return [record["id"] for record in made["records"]]

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        return self.apis.ask(API, KIT.token, method, target, body)

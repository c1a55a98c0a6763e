"""The two accounts of the trial, as people who do not use the proxy see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import requests

BASE: Final = "Trial"
FIELDS: Final[list[dict[str, Any]]] = [
    {"name": "Name", "type": "singleLineText"},
    {"name": "Amount", "type": "number", "options": {"precision": 2}},
    {"name": "Done", "type": "checkbox", "options": {"icon": "check", "color": "redBright"}},
    {"name": "Day", "type": "date", "options": {"dateFormat": {"name": "iso"}}},
]
FREE: Final = {
    "airtable": {"base_rate": 0, "token_rate": 0},
    "hubspot": {"requests_per_ten_seconds": 1_000_000, "searches_per_second": 1_000_000},
}
LIMITED: Final = {
    "airtable": {"base_rate": 5, "token_rate": 50},
    "hubspot": {"requests_per_ten_seconds": 100, "searches_per_second": 5},
}


@dataclass(frozen=True)
class Account:
    """One API's host, account and token at a sandbox."""

    origin: str
    host: str
    account: str
    token: str

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """A call past the proxy; its JSON, None if it has no body."""
        answer = requests.request(
            method,
            self.origin + target,
            json=body,
            headers={"Host": self.host, "Authorization": f"Bearer {self.token}"},
            timeout=60,
        )
        assert answer.ok, (method, target, answer.status_code, answer.text[:300])
        return answer.json() if answer.content else None


def accounts(origin: str) -> dict[str, Account]:
    """The seeded accounts of a sandbox."""
    overview = requests.get(f"{origin}/_sandbox/", timeout=60).json()
    return {
        name: Account(origin, api["hosts"][0], api["account"], api["token"])
        for name, api in overview.items()
    }


def switch(origin: str, switches: dict[str, dict[str, Any]]) -> None:
    """Turns rate limits off and on."""
    answer = requests.post(f"{origin}/_sandbox/switches", json=switches, timeout=120)
    assert answer.ok, answer.text


def count_requests(origin: str, host: str) -> int:
    """How many calls an API has seen that are still in the sandbox's journal."""
    entries = requests.get(f"{origin}/_sandbox/requests?host={host}", timeout=60).json()
    return len(entries["requests"])


@dataclass(frozen=True)
class Base:
    """The Airtable base with the trial's table."""

    account: Account
    table: str

    @property
    def path(self) -> str:
        return f"/v0/{self.account.account}/{self.table}"

    def fill(self, count: int) -> list[str]:
        """Makes records, ten at a time."""
        made: list[str] = []
        for at in range(0, count, 10):
            records = [
                {"fields": {"Name": f"task {n}", "Amount": n / 4, "Done": n % 3 == 0}}
                for n in range(at, min(at + 10, count))
            ]
            answer = self.account.ask("POST", self.path, {"records": records})
            made += [record["id"] for record in answer["records"]]
        return made

    def edit(self, record: str, name: str) -> None:
        self.account.ask("PATCH", f"{self.path}/{record}", {"fields": {"Name": name}})

    def delete(self, record: str) -> None:
        self.account.ask("DELETE", f"{self.path}/{record}")

    def truth(self) -> dict[str, tuple[Any, ...]]:
        """Every record: (name, amount, done)."""
        found: dict[str, tuple[Any, ...]] = {}
        offset = ""
        while True:
            page = self.account.ask("GET", f"{self.path}?pageSize=100&offset={offset}")
            for record in page["records"]:
                cells = record["fields"]
                amount = cells.get("Amount")
                found[record["id"]] = (cells.get("Name"), amount, cells.get("Done", False))
            offset = page.get("offset", "")
            if not offset:
                return found


def make_base(account: Account) -> Base:
    """A table of its own in the seeded base."""
    path = f"/v0/meta/bases/{account.account}/tables"
    made = account.ask("POST", path, {"name": BASE, "fields": FIELDS})
    return Base(account, made["id"])


@dataclass(frozen=True)
class Portal:
    """The HubSpot portal's contacts."""

    account: Account

    def fill(self, count: int) -> list[str]:
        """Makes contacts, a hundred at a time."""
        made: list[str] = []
        for at in range(0, count, 100):
            inputs = [
                {"properties": {"email": f"c{n}@trial.example", "lastname": f"name {n}"}}
                for n in range(at, min(at + 100, count))
            ]
            path = "/crm/v3/objects/contacts/batch/create"
            answer = self.account.ask("POST", path, {"inputs": inputs})
            made += [record["id"] for record in answer["results"]]
        return made

    def edit(self, record: str, name: str) -> None:
        body = {"properties": {"lastname": name}}
        self.account.ask("PATCH", f"/crm/v3/objects/contacts/{record}", body)

    def delete(self, record: str) -> None:
        self.account.ask("DELETE", f"/crm/v3/objects/contacts/{record}")

    def truth(self) -> dict[str, tuple[Any, ...]]:
        """Every contact that is not archived: (email, last name)."""
        found: dict[str, tuple[Any, ...]] = {}
        after = ""
        while True:
            target = "/crm/v3/objects/contacts?limit=100&properties=email,lastname"
            page = self.account.ask("GET", target + (f"&after={after}" if after else ""))
            for record in page["results"]:
                values = record["properties"]
                found[record["id"]] = (values.get("email"), values.get("lastname"))
            after = page.get("paging", {}).get("next", {}).get("after", "")
            if not after:
                return found

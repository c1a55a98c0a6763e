"""A place with sandboxes, where files are planned, applied and exported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from api.desk import AIRTABLE, HUBSPOT, Desk, open_desk

from httpproxy.management.ascode.applying import Applying
from httpproxy.management.ascode.current import Current, read_current
from httpproxy.management.ascode.declared import read
from httpproxy.management.ascode.drafting import Plan
from httpproxy.management.ascode.exporting import exported
from httpproxy.management.ascode.planning import plan
from httpproxy.management.services import Services
from httpproxy.management.syncs.documents import SyncDocument

GRANT = AIRTABLE.grant
THERE: Mapping[str, str] = {
    "env:AIRTABLE": AIRTABLE.token,
    "env:HUBSPOT": HUBSPOT.token,
    "env:APP": GRANT.app.client_secret or "",
    "env:ACCESS": GRANT.tokens.access_token,
    "env:REFRESH": GRANT.tokens.refresh_token or "",
}
CREDENTIALS = f"""
[credentials.base]
kind = "airtable_token"
access_token = "env:AIRTABLE"
base_id = "{AIRTABLE.account}"
metadata = {{ customer = 42, plan = {{ seats = 3 }} }}

[credentials.portal]
kind = "hubspot_private_app"
access_token = "env:HUBSPOT"
"""
SYNCS = """
[syncs.crm]
provider = "hubspot"
credential = "portal"
collection_ids = ["hubspot:contact", "company"]
external_id = "crm-1"
rate_limit = { allowed_requests = 50, interval = 10 }

[syncs."Tasks of Acme"]
provider = "airtable"
credential = "base"
schema = "acme"
collection_ids = ["Tasks"]
status = "paused"
metadata = { tier = "gold" }

[syncs."Tasks of Acme".columns.Tasks]
Name = { name = "title" }
Amount = { selected = false }
"""
FILE = CREDENTIALS + SYNCS
OAUTH = f"""
[oauth_apps.product]
provider = "airtable"
client_id = "{GRANT.app.client_id}"
client_secret = "env:APP"

[credentials.granted]
kind = "{GRANT.kind}"
access_token = "env:ACCESS"
refresh_token = "env:REFRESH"
expires_in = 3600
oauth_app = "product"
base_id = "{AIRTABLE.account}"
"""


@dataclass(frozen=True)
class Site:
    """`steps` are told as "create syncs crm"."""

    desk: Desk

    @property
    def services(self) -> Services:
        return self.desk.door.inside.house.services

    async def current(self) -> Current:
        return await read_current(self.services, lambda _: True)

    async def plan(
        self, text: str, secrets: Mapping[str, str] = THERE, *, prune: bool = False
    ) -> Plan:
        declared = read(text)
        found = {each: secrets.get(each) for each in declared.references()}
        return plan(declared, found, await self.current(), prune=prune)

    async def apply(
        self, text: str, secrets: Mapping[str, str] = THERE, *, prune: bool = False
    ) -> list[str]:
        """The steps that were done."""
        declared, current = read(text), await self.current()
        found = {each: secrets.get(each) for each in declared.references()}
        begun: list[str] = []
        applying = Applying(self.services, declared, found, current)
        await applying.apply(
            plan(declared, found, current, prune=prune),
            lambda step: begun.append(f"{step.action} {step.section} {step.name}"),
        )
        return begun

    async def export(self) -> str:
        return exported(await self.current())

    async def sync(self, name: str) -> SyncDocument:
        return (await self.services.syncs.get(name))[0]


def told(found: Plan) -> dict[str, list[str]]:
    """The members that are to change, by thing."""
    return {f"{s.action} {s.name}": [c.member for c in s.changes] for s in found.steps}


@asynccontextmanager
async def open_site(dsn: str, folder: Path) -> AsyncIterator[Site]:
    """A fresh one."""
    async with open_desk(dsn, folder) as desk:
        yield Site(desk)

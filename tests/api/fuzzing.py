"""Calls of every operation of /v1, made up from its OpenAPI document: valid ones and invalid
ones, some of them about things that there are. Run as a program, it does so at length.

    python tests/api/fuzzing.py 500     so many calls of each kind for each operation
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.keyring import new_key
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from httpproxy.api.openapi import openapi
from httpproxy.api.routes import OPERATIONS
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.values import CredentialDraft, TokenPair
from httpproxy.store.database import migrate
from httpproxy.store.embedded.server import EmbeddedPostgres
from providers.catalog import PROVIDERS

AS_DOCUMENTED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT: dict[str, Any] = orjson.loads(orjson.dumps(openapi(OPERATIONS, "0")))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CALLED: Mapping[str, APIOperation[Any, Any, Any, Any]] = {
    operation.label: operation
    for found in SCHEMA.get_all_operations()
    if not (operation := found.ok()).path.startswith("/v1/proxy/")
}
_SPARING = ("PATCH /v1/credentials/{credential_id}",)
GRANT = PROVIDERS["airtable"].sandbox.grant


@dataclass
class Target:
    """A service with a sync, a credential, an app and rows; and what they are called."""

    base: AirtableHouse
    key: str
    known: dict[str, list[Any]]
    works: dict[str, dict[str, Any]]
    session: requests.Session = field(default_factory=requests.Session)
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return self.base.house.service.api_url or ""

    def send(self, case: Case) -> requests.Response:
        """The answer to a made-up call, by who may do everything."""
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {self.key}"}
        return case.call(base_url=self.url, session=self.session, timeout=60)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """A call of one's own; `key` is another one than that which may do everything."""
        key = more.pop("key", self.key)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return self.session.request(
            method, f"{self.url}{path}", headers=headers | more.pop("headers", {}), **more
        )

    def path(self, template: str) -> str:
        """A path about things that there are."""
        names = {name: str(values[0]) for name, values in self.known.items()}
        return template.format_map(names)

    def fuzz(self, label: str, mode: GenerationMode, calls: int, *, shrink: bool) -> None:
        """So many calls of an operation. Raises what schemathesis finds wrong."""
        checks = [*AS_DOCUMENTED]
        if mode is GenerationMode.NEGATIVE:
            checks.append(negative_data_rejection)
        operation = CALLED[label]
        made = operation.as_strategy(mode)

        @settings(
            max_examples=calls,
            deadline=None,
            database=None,
            derandomize=not shrink,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def run(data: st.DataObject) -> None:
            case = data.draw(made)
            self._point(case, data.draw)
            response = self.send(case)
            self.answered[label, response.status_code] += 1
            case.validate_response(response, checks=checks)

        run()

    def _point(self, case: Case, draw: Any) -> None:
        """Lets a call be about things that there are, mostly, and often do what works but
        for a member or two."""
        label = case.operation.label
        works = self.works.get(label)
        if works is not None and isinstance(case.body, dict) and draw(st.booleans()):
            kept = draw(st.sets(st.sampled_from(sorted(case.body) or [""]), max_size=2))
            case.body = {**works, **{name: case.body[name] for name in kept if name}}
        for place in (case.path_parameters, case.query, case.body):
            if not isinstance(place, dict):
                continue
            for name in sorted(place.keys() & self.known.keys()):
                # The credential in use stays as it is: nothing would work without it.
                known = self.known[name][1:] if label in _SPARING else self.known[name]
                if draw(st.integers(0, 3)):
                    place[name] = draw(st.sampled_from(known))


async def made(base: AirtableHouse) -> Target:
    """The target in a house: a sync in use, one to be deleted, a credential and an app to
    spare, a key to be revoked."""
    office = base.house.service.office
    tokens = TokenPair("pl4nted-of-nobody")
    draft = CredentialDraft("airtable", "appSpare000000001", "airtable_token", tokens, "spare")
    spare, _ = await office.registry.credentials.save(draft)
    app, _ = await Apps(office.database, office.vault).save("airtable", GRANT.app, "spare")
    known = {
        "sync_id": [base.sync.id, base.sync.name],
        "sync": [base.sync.id],
        "credential_id": [base.sync.credential_id, spare.id],
        "app_id": [app.id],
        "key_id": ["nobody"],
        "collection_id": [f"airtable:{base.table_id}", "Tasks"],
        "field": ["Name", "Amount"],
        "provider": ["airtable", "hubspot"],
    }
    return Target(base, await new_key(base.house, "admin"), known, _works(base))


def _works(base: AirtableHouse) -> dict[str, dict[str, Any]]:
    """By operation, a body that is accepted."""
    records = {"sync_id": base.sync.id, "collection_id": f"airtable:{base.table_id}"}
    one = {**records, "data": [{"Name": "fuzzed"}]}
    token = PROVIDERS["hubspot"].sandbox.token
    private = {"kind": "hubspot_private_app", "access_token": token}
    sync = {"provider": "airtable", "collection_ids": ["Projects"]}
    mutations = "POST /v1/mutations/run"
    return {
        mutations: {**one, "kind": "create"},
        f"{mutations}/create": one,
        f"{mutations}/update": {**records, "data": [{"id": "recNobody00000000", "Name": "x"}]},
        f"{mutations}/upsert": {**one, "match": ["Name"]},
        f"{mutations}/delete": {**records, "data": [{"id": "recNobody00000000"}]},
        "POST /v1/credentials": private,
        "POST /v1/syncs": {**sync, "credential_id": base.sync.credential_id},
        "POST /v1/oauth-apps": {"provider": "airtable", "client_id": "fuzzed"},
        "POST /v1/keys": {"name": "fuzzed"},
        "PATCH /v1/syncs/{sync}/columns/{collection_id}": {"locked": True},
    }


@asynccontextmanager
async def opened(dsn: str, folder: Path) -> AsyncIterator[Target]:
    """A target in a house of its own."""
    roles = ("gateway", "api")
    async with open_airtable(dsn, folder, tables=("Tasks",), roles=roles) as base:
        target = await made(base)
        table = base.table()
        await asyncio.to_thread(table.batch_create, [{"Name": "a"}, {"Name": "b"}])
        with target.session:
            events = await asyncio.to_thread(target.ask, "GET", "/v1/events")
            target.known["event_id"] = [each["event_id"] for each in events.json()]
            yield target


async def _at_length(folder: Path, calls: int) -> None:
    with EmbeddedPostgres(folder / "postgres") as server:
        await migrate(server.dsn)
        async with opened(server.dsn, folder / "house") as target:
            for label in sorted(CALLED, key=lambda each: "DELETE /v1/syncs" in each):
                for mode in GenerationMode:
                    print(label, mode.value, flush=True)
                    await asyncio.to_thread(target.fuzz, label, mode, calls, shrink=True)


def main(calls: int) -> None:
    """Ends with what schemathesis says of the first operation that is not as documented."""
    with tempfile.TemporaryDirectory(prefix="httpproxy-fuzz-") as name:
        Path(name).chmod(0o755)  # the server's user must be able to reach it under root
        asyncio.run(_at_length(Path(name), calls))


if __name__ == "__main__":
    main(int(sys.argv[1]))

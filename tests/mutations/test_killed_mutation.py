"""A service that is killed in the middle of mutations, which another process then repeats."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests
from cli.programs import PATIENCE, Programs
from mutations.mutating_api import ROLES
from neighbours.house import House, open_house
from neighbours.keyring import new_key
from neighbours.sandboxes import Sandboxes, sandboxes
from neighbours.syncs import new_sync
from psycopg.sql import SQL, Identifier

from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.spec import Budget

BAD = 7  # the place of a record that HubSpot refuses


@dataclass(frozen=True)
class Scene:
    """One API: what is created there, in how many calls, and which answer is never heard."""

    provider: str
    collection: str
    path: str
    records: list[dict[str, Any]]
    calls: int
    lost: int
    name: str
    table: str
    failed: frozenset[int] = frozenset()


SCENES = (
    Scene(
        "airtable",
        "Tasks",
        "/tblTasks000000000$",
        [{"Name": f"n {at}"} for at in range(35)],
        calls=4,
        lost=2,
        name="name",
        table="tasks",
    ),
    Scene(
        "hubspot",
        "contact",
        "/batch/create",
        [
            {"firstname": f"n {at}"} | ({"email": "no address"} if at == BAD else {})
            for at in range(250)
        ],
        calls=3,
        lost=1,
        name="firstname",
        table="contact",
        failed=frozenset({BAD}),
    ),
)


async def synced(house: House, scene: Scene) -> Sync:
    provider = PROVIDERS[scene.provider]
    kit, office = provider.sandbox, house.service.office
    found = await office.conversations.discover(
        provider, kit.account, kit.token, [scene.collection]
    )
    return await new_sync(
        office.registry,
        scene.provider,
        scene.provider,
        kit.account,
        schema_name=scene.provider,
        secret=kit.token,
        rates=tuple(Budget(b.name, 1_000_000, 1.0) for b in provider.budgets),
        collections=found,
    )


def mutate(url: str, key: str, scene: Scene) -> requests.Response:
    body = {
        "sync_id": scene.provider,
        "collection_id": scene.collection,
        "kind": "create",
        "data": scene.records,
    }
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "once"}
    return requests.post(
        f"{url}/v1/mutations/run", json=body, headers=headers, timeout=PATIENCE
    )


async def repeated(ask: Callable[[Scene], requests.Response], scene: Scene) -> dict[str, Any]:
    """What the repeat is answered, once what the first one left open is settled."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await asyncio.to_thread(ask, scene)).status_code == 409:
            assert answer.headers["Retry-After"]
            await asyncio.sleep(0.2)
    assert answer.status_code == (207 if scene.failed else 200), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_mutations_that_are_killed_are_finished_by_their_repeats_and_written_once(
    database_dsn: str, tmp_path: Path
):
    async with (
        sandboxes() as apis,
        open_house(database_dsn, tmp_path, apis.upstreams, roles=ROLES) as house,
    ):
        for scene in SCENES:
            await synced(house, scene)
        key = await new_key(house, "write")
        holds = [apis.hold("POST", scene.path, after=scene.lost) for scene in SCENES]
        with programs(tmp_path, database_dsn, apis).started("serve") as serving:
            url = await asyncio.to_thread(lambda: serving.wait_for(r"/v1 on (http://\S+)")[1])
            first = [
                asyncio.ensure_future(asyncio.to_thread(mutate, url, key, scene))
                for scene in SCENES
            ]
            for hold in holds:
                await hold.reached()
            serving.stop(signal.SIGKILL)
            for hold in holds:
                hold.let_go()
            ended = await asyncio.gather(*first, return_exceptions=True)
            assert all(isinstance(each, requests.ConnectionError) for each in ended), ended
        at = house.service.api_url or ""
        for scene in SCENES:
            told = await repeated(lambda one: mutate(at, key, one), scene)
            again = await repeated(lambda one: mutate(at, key, one), scene)
            assert again["results"] == told["results"]
            told_truthfully(scene, told, there(database_dsn, scene))
            assert len(await asyncio.to_thread(sent, apis, scene)) == scene.calls


def told_truthfully(scene: Scene, told: dict[str, Any], rows: dict[str, str]) -> None:
    """Every record is told as what became of it, and is a row of its own if it was made."""
    results = {result["index"]: result for result in told["results"]}
    assert {at for at, each in results.items() if each["status"] == "failed"} == scene.failed
    made = {at: each for at, each in results.items() if at not in scene.failed}
    assert {each["status"] for each in made.values()} == {"applied"}
    assert {at: rows[each["upstream_id"]] for at, each in made.items()} == {
        at: f"n {at}" for at in made
    }
    assert len(rows) == len(made)
    assert len(results) == len(scene.records)


def programs(folder: Path, dsn: str, apis: Sandboxes) -> Programs:
    """Programs with the data of the house that is open here."""
    variables = {
        "DATABASE_URL": dsn,
        "HTTPPROXY_DATA_DIR": str(folder),
        "HTTPPROXY_UPSTREAMS": json.dumps(dict(apis.upstreams)),
        "HTTPPROXY_GATEWAY_PORT": "0",
        "HTTPPROXY_ROLES": ",".join(ROLES),
    }
    return Programs(folder, variables)


def sent(apis: Sandboxes, scene: Scene) -> list[dict[str, Any]]:
    """The calls that made records at this API."""
    url = f"{apis.origin}/_sandbox/requests"
    entries = requests.get(url, timeout=10).json()["requests"]
    return [e for e in entries if e["target"].endswith(scene.path.removesuffix("$"))]


def there(dsn: str, scene: Scene) -> dict[str, str]:
    """Record -> its name, of the rows."""
    table = Identifier(scene.provider, scene.table)
    query = SQL("SELECT id, {} FROM {}").format(Identifier(scene.name), table)
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute(query).fetchall())

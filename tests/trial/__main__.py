"""20,000 Airtable records and 50,000 HubSpot contacts, through everything at once.

    seed -> create two syncs -> serve -> writes through the proxy, edits and deletes by
    others -> kill -9 in the middle of the backfill -> serve again -> wait -> compare

At the end every row of both tables is compared with what the APIs list. Exit code 0 if
they are equal. `--small` for a tenth of the records.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import pyairtable
from hubspot import HubSpot
from hubspot.crm.contacts import SimplePublicObjectInput, SimplePublicObjectInputForCreate

from tests.trial.apis import FREE, LIMITED, Base, Portal, accounts, make_base, switch

PROGRAM: Final = [sys.executable, "-m", "httpproxy"]


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


BEGAN: Final = time.monotonic()


@dataclass
class Place:
    """A folder in which the program runs, and its environment."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: str = "") -> str:
        """A command to its end, which must be a good one; its output."""
        ended = subprocess.run(
            [*PROGRAM, *arguments], cwd=self.folder, env=self.environment, input=stdin,
            capture_output=True, text=True, timeout=1800, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, (arguments, ended.stdout, ended.stderr)
        return ended.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **self.variables}

    @contextmanager
    def started(
        self, *arguments: str, ready: str
    ) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """A program that runs, and the line that said that it is ready."""
        log = self.folder / f"{arguments[0]}.log"
        with log.open("a") as out:
            process = subprocess.Popen(
                [*PROGRAM, *arguments], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        try:
            yield process, _wait_for(log, ready, process)
        finally:
            process.terminate()
            process.wait(60)
            log.rename(log.with_suffix(f".{process.pid}.log"))


def _wait_for(log: Path, pattern: str, process: subprocess.Popen[str]) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := re.search(pattern, log.read_text()):
            return found[0]
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"never said {pattern}: {log.read_text()}")


@dataclass
class Crowd:
    """Threads that write until they are told to stop; each step may fail and is retried."""

    stop: threading.Event = field(default_factory=threading.Event)
    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, name: str, pause: float, step: Callable[[], Any]) -> None:
        """Repeats a step, with a pause, in a thread."""
        self.done[name] = self.failed[name] = 0

        def run() -> None:
            while not self.stop.wait(pause):
                try:
                    step()
                except Exception:  # noqa: BLE001  # the service is being killed: the point of it
                    self.failed[name] += 1
                else:
                    self.done[name] += 1

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self.threads.append(thread)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def main() -> int:
    """Runs the trial; 0 if database and APIs are equal at the end."""
    options = argparse.ArgumentParser(prog="python -m tests.trial", description=__doc__)
    options.add_argument("--small", action="store_true", help="a tenth of the records")
    options.add_argument("--seed", type=int, default=3, help="of what is edited and deleted")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-trial-"))
    try:
        return _trial(Place(folder), 10 if chosen.small else 1, random.Random(chosen.seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _trial(place: Place, part: int, dice: random.Random) -> int:
    ready = r"http://127\.0\.0\.1:\d+"
    with place.started("sandbox", "--memory", "--sandbox-port", "0", ready=ready) as (
        _,
        origin,
    ):
        switch(origin, FREE)
        found = accounts(origin)
        base, portal = make_base(found["airtable"]), Portal(found["hubspot"])
        records, contacts = base.fill(20_000 // part), portal.fill(50_000 // part)
        switch(origin, LIMITED)
        say(f"seeded {len(records):,} Airtable records and {len(contacts):,} HubSpot contacts")
        place.variables["HTTPPROXY_UPSTREAMS"] = (
            f'{{"{base.account.host}": "{origin}", "{portal.account.host}": "{origin}"}}'
        )
        place.variables["HTTPPROXY_GATEWAY_PORT"] = "0"
        place.variables["HTTPPROXY_SYNC_INTERVAL"] = "5"
        place.variables["HTTPPROXY_SWEEP_INTERVAL"] = "60"
        airtable = ("airtable", "--base", base.account.account, "--table", "Trial")
        place.run("sync", "create", *airtable, "--name", "base", stdin=base.account.token)
        place.run(
            "sync", "create", "hubspot", "--object", "contacts", "--name", "portal",
            "--rate", "80/10",  # the sandbox counts what the others do to the same limit
            stdin=portal.account.token,
        )  # fmt: skip
        say("two syncs created")
        return _serve_and_compare(place, base, portal, (records, contacts), dice, origin)


def _serve_and_compare(
    place: Place, base: Base, portal: Portal, ids: tuple[list[str], list[str]],
    dice: random.Random, origin: str,
) -> int:  # fmt: skip
    crowd = Crowd()
    serving = r"gateway on http://127\.0\.0\.1:\d+|http://127\.0\.0\.1:\d+"
    with place.started("serve", ready=serving) as (process, line):
        say("serving: the backfill begins, and so do the writers")
        gateway = line.split()[-1]
        place.variables["HTTPPROXY_GATEWAY_PORT"] = gateway.rpartition(":")[2]
        _write(place, crowd, base, portal, gateway)
        _edit(crowd, base, portal, ids, dice)
        wanted = (len(ids[0]) // 4, len(ids[1]) // 4)
        rows = _wait_for_rows(place, wanted)
        process.kill()
        say(f"kill -9 at {rows[0]:,} and {rows[1]:,} rows")
    with place.started("serve", ready=serving):
        say("serving again: the listings go on where they were")
        time.sleep(20)
        crowd.end()
        say(f"written through the proxy and by others: {crowd.done}; failed: {crowd.failed}")
        place.run("sync", "watch", "--until-live")
        say("everything is live")
        switch(origin, FREE)
        return _compare(place, base, portal)


def _write(place: Place, crowd: Crowd, base: Base, portal: Portal, gateway: str) -> None:
    """Writers with the vendors' own clients, through the proxy."""
    del gateway
    roots = {name: place.run("sync", "show", name, "--json") for name in ("base", "portal")}
    api = re.search(r"http://[^\"]+", roots["base"])
    crm = re.search(r"http://[^\"]+", roots["portal"])
    assert api is not None
    assert crm is not None
    table = pyairtable.Api(base.account.token, endpoint_url=api[0]).table(
        base.account.account, base.table
    )
    client = HubSpot(access_token=portal.account.token, host=crm[0], base_url=crm[0])
    crowd.begin("base writes", 0.8, _airtable_writer(table))
    crowd.begin("portal writes", 0.4, _hubspot_writer(client))


def _airtable_writer(table: pyairtable.Table) -> Callable[[], None]:
    made: list[str] = []

    def step() -> None:
        if len(made) % 3 == 2:
            table.update(made[-1], {"Name": f"through the proxy {len(made)}"})
        made.append(table.create({"Name": f"new {len(made)}", "Amount": 1})["id"])

    return step


def _hubspot_writer(client: HubSpot) -> Callable[[], None]:
    made: list[str] = []
    api = client.crm.contacts.basic_api

    def step() -> None:
        if len(made) % 3 == 2:
            change = SimplePublicObjectInput(properties={"lastname": f"proxied {len(made)}"})
            api.update(contact_id=made[-1], simple_public_object_input=change)
        values = {"email": f"p{time.monotonic_ns()}@trial.example", "lastname": "new"}
        made.append(
            api.create(SimplePublicObjectInputForCreate(properties=values, associations=[])).id
        )

    return step


def _edit(
    crowd: Crowd, base: Base, portal: Portal, ids: tuple[list[str], list[str]],
    dice: random.Random,
) -> None:  # fmt: skip
    """Others, who edit and delete at the APIs themselves."""
    for name, api, mine in (("base", base, ids[0]), ("portal", portal, ids[1])):
        left = list(mine)
        dice.shuffle(left)

        def edit(api: Base | Portal = api, left: list[str] = left) -> None:
            api.edit(left[dice.randrange(len(left))], f"edited {time.monotonic_ns()}")

        def delete(api: Base | Portal = api, left: list[str] = left) -> None:
            api.delete(left.pop())

        crowd.begin(f"{name} edits", 1.1, edit)
        crowd.begin(f"{name} deletes", 2.3, delete)


def _dsn(place: Place) -> str:
    return place.run("db", "url").strip()


def _tables(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """The two tables, by their schemas' names."""
    found = connection.execute(
        "SELECT s.provider, quote_ident(s.schema_name) || '.' || quote_ident(c.table_name)"
        " FROM httpproxy.sync s JOIN httpproxy.collection c ON c.sync_id = s.id"
        " WHERE c.table_name IN ('trial', 'contact')"
    ).fetchall()
    by_provider = dict(found)
    return by_provider["airtable"], by_provider["hubspot"]


def _wait_for_rows(place: Place, wanted: tuple[int, int]) -> tuple[int, int]:
    with psycopg.connect(_dsn(place), autocommit=True) as connection:
        tables = _tables(connection)
        until = time.monotonic() + 900
        while time.monotonic() < until:
            counts = tuple(_count(connection, table) for table in tables)
            if all(have >= want for have, want in zip(counts, wanted, strict=True)):
                return counts[0], counts[1]
            time.sleep(1)
    raise AssertionError("the backfill does not advance")


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def _compare(place: Place, base: Base, portal: Portal) -> int:
    """Waits until the database says what the APIs do; the differences if it never does."""
    with psycopg.connect(_dsn(place), autocommit=True) as connection:
        tables = _tables(connection)
        queries = (
            f"SELECT id, name, amount::float8, done FROM {tables[0]}",
            f"SELECT id, email, lastname FROM {tables[1]} WHERE NOT archived",
        )
        truths: tuple[dict[str, tuple[Any, ...]], ...] = (base.truth(), portal.truth())
        until = time.monotonic() + 180
        while True:
            wrong = 0
            for query, truth in zip(queries, truths, strict=True):
                rows = {row[0]: tuple(row[1:]) for row in connection.execute(query.encode())}
                wrong += sum(rows.get(i) != truth.get(i) for i in rows.keys() | truth.keys())
            if wrong == 0 or time.monotonic() > until:
                break
            say(f"{wrong} records differ still")
            time.sleep(5)
    say(f"{len(truths[0]):,} and {len(truths[1]):,} records compared: {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

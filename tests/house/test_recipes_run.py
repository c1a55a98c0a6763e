"""The README is followed to the letter: its commands in a shell, its clients through the door.

The APIs are the sandbox, named in `httpproxy.toml` as docs/sandbox.md says; everything
else is as on a user's machine: an embedded Postgres, a terminal that asks for the token,
`httpproxy serve` until Ctrl-C. The clients for Node and airtable-python-wrapper are no
dependencies of the tests; they were tried by hand in the versions that `BY_HAND` names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import psycopg
import pytest
from cli.pasting import blocks, curl
from cli.programs import Programs, clean_environment
from hubspot import HubSpot
from pages import codes, table
from psycopg.rows import dict_row
from pyairtable import Api
from source import ROOT
from terminal import Terminal, typed

from httpproxy.store.embedded.binaries import find_binaries
from providers.catalog import PROVIDERS

README, DOCS = ROOT / "README.md", ROOT / "docs"
AIRTABLE, HUBSPOT = PROVIDERS["airtable"].sandbox, PROVIDERS["hubspot"].sandbox
BY_HAND = {
    "airtable.js": "0.12.2",
    "airtable-python-wrapper": "0.15.3",
    "@hubspot/api-client (Node)": "13.5.0",
}
RUN = {"pyairtable", "hubspot-api-client (Python)", "curl"}


@dataclass(frozen=True)
class Followed:
    """The README's "Use it for real", done: `httpproxy serve` runs."""

    programs: Programs
    dsn: str
    shown: str

    def root(self, provider: str) -> str:
        """`ROOT`, as `httpproxy sync show` prints it."""
        (name,) = re.findall(rf"^sync +({provider}-\S+)$", self.shown, re.MULTILINE)
        told = self.programs.done("sync", "show", name).out
        return re.findall(r"^api root +(\S+)$", told, re.MULTILINE)[0]

    def row(self, provider: str, table_: str, record_id: str) -> dict[str, Any] | None:
        """The row that a fresh connection sees now."""
        (schema,) = re.findall(
            rf"^table +({provider}_\w+)\.{table_} ", self.shown, re.MULTILINE
        )
        query = f"select * from {schema}.{table_} where id = %s"
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), (record_id,)).fetchone()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _variables() -> dict[str, str]:
    """An environment in which this project's programs and Postgres's are found."""
    places = (Path(sys.executable).parent, find_binaries(None, None).folder)
    path = os.pathsep.join([*map(str, places), clean_environment()["PATH"]])
    return clean_environment(PATH=path, PAGER="cat")


def _settle_in(folder: Path, sandbox: str) -> None:
    """What stands in the folder before the page is followed."""
    (upstreams,) = blocks(DOCS / "sandbox.md", "toml")
    settings = upstreams.replace("http://127.0.0.1:8090", sandbox)
    (folder / "httpproxy.toml").write_text(f"gateway_port = {_free_port()}\n{settings}")
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("hash -r\n")  # the programs are found already
    (folder / "token.txt").write_text(f"{HUBSPOT.token}\n")


def _give_tokens(terminal: Terminal) -> None:
    for title, kit in (("Airtable", AIRTABLE), ("HubSpot", HUBSPOT)):
        terminal.wait_for(rf"{title} token: ")
        terminal.type(f"{kit.token}\n")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    at_home = Programs(tmp_path_factory.mktemp("sandbox"))
    with at_home.started("sandbox", "--memory", "--sandbox-port", "0") as running:
        origin = running.wait_for(r"sandbox on (http://\S+),")[1]
        # `doctor` and `serve` do not know of each other's calls, and a penalty is 30 s.
        (switch,) = (b for b in blocks(DOCS / "sandbox.md", "sh") if "_sandbox/switches" in b)
        assert curl(switch.replace("http://127.0.0.1:8090", origin)).ok
        yield origin


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, sandbox: str) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("real")
    _settle_in(folder, sandbox)
    (block,) = (b for b in blocks(README, "sh") if "httpproxy serve" in b)
    (database,) = re.findall(r"^export DATABASE_URL.*\n", block, re.MULTILINE)
    assert "or leave it" in database
    script = re.sub(r"\bappX+\b", AIRTABLE.account, block.replace(database, ""))
    with typed(script, folder, _variables()) as terminal:
        _give_tokens(terminal)
        terminal.wait_for(r"gateway on (http://\S+)")
        programs = Programs(folder)
        yield Followed(programs, programs.done("db", "url").out.strip(), terminal.text)
        assert AIRTABLE.token not in terminal.text
        assert terminal.interrupt() == 0


def recipe(client: str, number: int = 0) -> str:
    """A piece of code of a client's row in the README."""
    ((how,),) = ([how] for name, how in table(README, "| client | how |") if name == client)
    return codes(how)[number]


def asked(command: str, **variables: str) -> Any:
    """The JSON that a curl command gets; where there is no curl, what it would get."""
    if shutil.which("curl") is None:
        return curl(Template(command).substitute(variables)).json()
    ran = subprocess.run(
        ["bash", "-c", command],
        env={**_variables(), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


# --- the pages' commands ----------------------------------------------------------------


def test_use_it_for_real_ends_in_a_sync_of_each_kind_and_nothing_to_complain_of(
    followed: Followed,
):
    listed = followed.programs.done("sync", "list", "--json").json
    assert [sync["provider"] for sync in listed] == ["airtable", "hubspot"]
    tables = {sync["provider"]: {t["name"] for t in sync["tables"]} for sync in listed}
    assert tables["airtable"] == {"tasks", "projects"}
    assert {"contact", "company", "associations_company_contact"} <= tables["hubspot"]
    examined = followed.programs.done("doctor", "--json").json
    assert {finding["level"] for finding in examined} == {"ok"}


def test_the_command_line_s_page_runs_from_top_to_bottom(
    tmp_path: Path, sandbox: str, database_dsn: str
):
    _settle_in(tmp_path, sandbox)
    script = "".join(blocks(DOCS / "cli.md", "sh"))
    assert "psql" in script
    variables = {**_variables(), "DATABASE_URL": database_dsn}
    with typed(script, tmp_path, variables) as terminal:
        terminal.wait_for("Airtable token: ")
        terminal.type(f"{AIRTABLE.token}\n")
        terminal.wait_for("sync +crm")  # its token comes from the file
        for shown in ("crm goes on", "lacking: ", "applied", r"hubspot_crm +contact"):
            terminal.wait_for(shown)
        terminal.wait_for(r"\w+=[>#] ")
        terminal.type("\\q\n")
        assert terminal.end() == 0, terminal.text
    assert '"level": "ok"' in terminal.text or '"level":"ok"' in terminal.text


# --- the clients ------------------------------------------------------------------------


def test_every_client_of_the_readme_was_tried():
    told = {name for name, _ in table(README, "| client | how |")}
    assert told == RUN | BY_HAND.keys()


def test_pyairtable_as_the_readme_sets_it_up(followed: Followed):
    known = {"Api": Api, "token": AIRTABLE.token, "ROOT": followed.root("airtable")}
    for code in (recipe("pyairtable"), _inline("airtable.md", "Api(")):
        tasks = eval(code, known).table(AIRTABLE.account, "Tasks")
        made = tasks.create({"Name": code, "Amount": 1.5})["id"]
        assert (followed.row("airtable", "tasks", made) or {})["name"] == code
        tasks.update(made, {"Done": True})
        assert (followed.row("airtable", "tasks", made) or {})["done"] is True
        tasks.delete(made)
        assert followed.row("airtable", "tasks", made) is None


def test_an_attachment_is_uploaded_as_airtable_s_page_says(followed: Followed):
    root = followed.root("airtable")
    api = Api(AIRTABLE.token, endpoint_url=root)
    made = api.table(AIRTABLE.account, "Tasks").create({"Name": "with a file"})["id"]
    text = (DOCS / "airtable.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^  ```python\n(.*?)^  ```", text, re.MULTILINE | re.DOTALL)
    exec(
        re.sub("^  ", "", code, flags=re.MULTILINE),
        {"api": api, "ROOT": root, "record_id": made},
    )
    (file,) = (followed.row("airtable", "tasks", made) or {})["files"]
    assert (file["filename"], file["type"]) == ("a.txt", "text/plain")


@pytest.mark.parametrize("page", ["README", "hubspot.md"])
def test_hubspot_api_client_as_the_pages_set_it_up(followed: Followed, page: str):
    code = (
        recipe("hubspot-api-client (Python)") if page == "README" else _inline(page, "HubSpot(")
    )
    known = {"HubSpot": HubSpot, "token": HUBSPOT.token, "ROOT": followed.root("hubspot")}
    client = eval(code, known)
    answer = client.api_request(
        {
            "method": "POST",
            "path": "/crm/v3/objects/contacts",
            "body": {"properties": {"firstname": page}},
        }
    )
    assert answer.headers["Httpproxy-Commit"].startswith("applied; rows=1")
    made = answer.json()["id"]
    contacts = client.crm.contacts.basic_api
    assert contacts.get_by_id(made).id == made
    assert (followed.row("hubspot", "contact", made) or {})["firstname"] == page
    contacts.archive(made)
    assert (followed.row("hubspot", "contact", made) or {})["archived"] is True


def test_curl_as_the_readme_calls_it(followed: Followed):
    root = followed.root("airtable")
    line = recipe("curl").replace("appX", AIRTABLE.account)
    given = {"ROOT": root, "TOKEN": AIRTABLE.token}
    listed = asked(line, **given)["records"]
    assert "Plan the launch" in [record["fields"].get("Name") for record in listed]
    tasks = Api(AIRTABLE.token, endpoint_url=root).table(AIRTABLE.account, "Tasks")
    made = tasks.create({"Name": "for curl"})["id"]
    assert followed.row("airtable", "tasks", made) is not None
    gone = asked(line.replace("/Tasks", f"/Tasks?records[]={made}") + " -X DELETE", **given)
    assert gone == {"records": [{"id": made, "deleted": True}]}
    assert followed.row("airtable", "tasks", made) is None


def _inline(page: str, beginning: str) -> str:
    """The first piece of code of a page's sentences that begins so."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return next(code for code in codes(text) if code.startswith(beginning))

"""The command line as people and scripts meet it: help, mistakes and exit codes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from programs import Programs

from httpproxy.cli import root
from httpproxy.settings.reading import Settings
from providers.catalog import PROVIDERS

COMMANDS = [
    [],
    ["serve"],
    ["sync"],
    ["sync", "create"],
    *(["sync", "create", name] for name in PROVIDERS),
    ["sync", "list"],
    ["sync", "show"],
    ["sync", "watch"],
    ["sync", "pause"],
    ["sync", "resume"],
    ["sync", "resync"],
    ["sync", "verify"],
    ["sync", "delete"],
    ["db"],
    ["db", "url"],
    ["db", "query"],
    ["doctor"],
    ["sandbox"],
    ["demo"],
    ["settings"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_is_for(command: list[str]):
    told = CliRunner().invoke(root.command, [*command, "--help"], prog_name="httpproxy")
    assert told.exit_code == 0
    assert told.output.startswith(f"Usage: {' '.join(['httpproxy', *command])}")
    assert len(told.output.splitlines()) > 4


def test_help_names_the_exit_codes_and_the_usual_commands(programs: Programs):
    told = programs.done("--help").out
    assert "Exit codes" in told
    assert "httpproxy sync create airtable --base" in told


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_providers_options_are_its_own(programs: Programs, name: str):
    provider = PROVIDERS[name]
    told = programs.done("sync", "create", name, "--help").out
    assert f"--{provider.collection_option}" in told
    assert (f"--{provider.account_option}" in told) is (provider.account_option is not None)
    assert "--token" not in told
    assert provider.sandbox.token not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serv"], "No such command"),
        (["sync", "create", "airtable", "--table", "T"], "--base"),
        (["sync", "create", "nobody"], "No such command"),
        (["serve", "--gateway-port", "many"], "not a valid integer"),
        (["serve", "--gateway-port", "70000"], "must be a port from 0 to 65535"),
        (["--config", "gone.toml", "settings"], "gone.toml: there is no such file"),
        (["sync", "delete", "x"], "add --yes"),
        (["sync", "create", "airtable", "--base", "appX"], "set HTTPPROXY_TOKEN"),
        (["sync", "create", "airtable", "--base", "appX", "--rate", "fast"], "such as 5/1"),
        (["sync", "create", "airtable", "--base", "appX", "--rate", f"{2**64}/1"], "such as"),
        (["sync", "create", "hubspot", "--rate", "nobody=5/1"], "there are standard"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(
    programs: Programs, arguments: list[str], said: str
):
    ended = programs.run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_a_token_that_cannot_be_one_is_refused_without_being_shown(programs: Programs):
    ended = programs.run("sync", "create", "airtable", "--base", "appX", stdin="pat one two")
    assert ended.code == 2
    assert "one two" not in ended.err


def test_wrong_settings_are_all_named_at_once(programs: Programs):
    (programs.folder / "httpproxy.toml").write_text("gatway_port = 1\n")
    ended = programs.run("settings")
    assert ended.code == 2
    assert "did you mean gateway_port?" in ended.err
    (programs.folder / "httpproxy.toml").unlink()
    ended = programs.run("settings", HTTPPROXY_LOG_LEVEL="loud", HTTPPROXY_GATEWAY_PORT="x")
    assert ended.code == 2
    assert "HTTPPROXY_LOG_LEVEL" in ended.err
    assert "HTTPPROXY_GATEWAY_PORT" in ended.err


def test_a_misspelled_upstream_is_refused_before_anything_is_sent(programs: Programs):
    upstreams = '{"api.airtable.co": "http://127.0.0.1:1"}'
    ended = programs.run("sync", "list", HTTPPROXY_UPSTREAMS=upstreams)
    assert ended.code == 2
    assert "did you mean api.airtable.com?" in ended.err


def test_a_database_that_is_not_there_is_named_and_its_password_is_not(programs: Programs):
    url = "postgresql://user:hunter2@127.0.0.1:1/db"
    ended = programs.run("sync", "list", DATABASE_URL=url)
    assert ended.code == 1
    assert "Check DATABASE_URL" in ended.err
    assert "hunter2" not in ended.err


def test_settings_are_printed_without_their_secrets(programs: Programs):
    key = "k" * 40
    told = programs.done("settings", "--json", HTTPPROXY_SECRET_KEY=key).json
    assert set(told) == set(Settings.model_fields)
    assert told["secret_key"] == "(set)"
    assert told["database_url"] is None


def test_a_port_that_is_taken_is_named_with_the_way_out(programs: Programs):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        ended = programs.run("sandbox", "--memory", "--sandbox-port", port)
    assert ended.code == 1
    assert f"port {port} on 127.0.0.1 is taken" in ended.err
    assert "HTTPPROXY_SANDBOX_PORT" in ended.err


def test_a_sandbox_file_that_cannot_be_read_is_named(programs: Programs):
    folder = programs.folder / "kept"
    folder.mkdir()
    (folder / "airtable.json").write_text("{")
    ended = programs.run("sandbox", "--folder", "kept", "--sandbox-port", "0")
    assert ended.code == 1
    assert "airtable.json cannot be used" in ended.err


def test_the_url_of_an_embedded_database_that_does_not_run_cannot_be_told(programs: Programs):
    ended = programs.run("db", "url")
    assert ended.code == 1
    assert "start `httpproxy serve`" in ended.err


def test_the_settings_page_is_what_the_code_says(programs: Programs):
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    table = programs.done("settings", "--markdown").out.strip()
    assert table in page.read_text(encoding="utf-8"), "run `httpproxy settings --markdown`"


def test_the_command_line_page_names_every_command():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        if command and command not in (["sync"], ["db"]) and command[:2] != ["sync", "create"]:
            assert f"`httpproxy {' '.join(command)}" in page

"""What the pages tell people to run does run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from pasting import blocks, curl

from httpproxy.cli import root
from httpproxy.settings.reading import read_settings

DOCS = Path(__file__).parents[2] / "docs"
SANDBOX = "http://127.0.0.1:8090"


def test_the_sandbox_page_s_curl_commands_are_answered(sandbox_origin: str):
    lines = [
        line
        for block in blocks(DOCS / "sandbox.md", "sh")
        for line in block.splitlines()
        if line.startswith("curl")
    ]
    assert len(lines) == 2
    for line in lines:
        answer = curl(line.replace(SANDBOX, sandbox_origin))
        assert answer.status_code == 200, answer.text
    cancelled = curl(f"curl -X DELETE {sandbox_origin}/_sandbox/faults")
    assert cancelled.json() == {"removed": 1}


def test_the_sandbox_page_s_client_code_runs(sandbox_origin: str):
    (code,) = blocks(DOCS / "sandbox.md", "python")
    ran = subprocess.run(
        [sys.executable, "-"],  # by stdin: it has a token
        input=code.replace(SANDBOX, sandbox_origin),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Plan the launch" in ran.stdout


def test_the_settings_files_of_the_pages_are_accepted(tmp_path: Path):
    shown = [*blocks(DOCS / "settings.md", "toml"), *blocks(DOCS / "sandbox.md", "toml")]
    assert shown
    for number, text in enumerate(shown):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert read_settings(file).upstreams["api.airtable.com"] == SANDBOX


def test_every_command_of_the_pages_takes_the_options_that_it_is_shown_with():
    shown = [
        line.split("#")[0].split("<")[0].split()
        for page in ("cli.md", "sandbox.md")
        for block in blocks(DOCS / page, "sh")
        for line in block.splitlines()
        if line.startswith("httpproxy ") and '"' not in line
    ]
    assert len(shown) >= 6
    for _, *arguments in shown:
        told = CliRunner().invoke(root.command, [*arguments, "--help"])
        assert told.exit_code == 0, (arguments, told.output)
        for option in (a for a in arguments if a.startswith("--")):
            assert option in told.output

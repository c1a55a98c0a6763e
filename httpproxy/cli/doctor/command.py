"""`httpproxy doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

from dataclasses import asdict

import click

from httpproxy.cli.doctor.findings import examine
from httpproxy.cli.doctor.symptoms import Finding, Level
from httpproxy.cli.failures import FAILED
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, json_option
from httpproxy.cli.running import run
from httpproxy.settings.reading import Settings

_SIGNS = {Level.OK: "ok  ", Level.WARNING: "WARN", Level.PROBLEM: "FAIL"}


@click.command(short_help="Check what could be wrong, and say what to do.")
@json_option
@click.pass_context
def doctor(context: click.Context, wants_json: bool) -> None:
    """Check settings, database, credentials, collections and clock; say what to do.

    It only reads. The exit code is 1 if it found a problem, else 0.
    """
    invocation: Invocation = context.obj
    settings = invocation.settings()
    found = run(settings, _examined(settings, quiet=wants_json))
    if wants_json:
        as_json([asdict(finding) for finding in found])
    if any(finding.level is Level.PROBLEM for finding in found):
        context.exit(FAILED)


async def _examined(settings: Settings, *, quiet: bool) -> list[Finding]:
    found = []
    async for finding in examine(settings):
        found.append(finding)
        if not quiet:
            click.echo(f"{_SIGNS[finding.level]}  {finding.about}: {finding.said}")
            if finding.remedy:
                click.echo(f"      -> {finding.remedy}")
    return found

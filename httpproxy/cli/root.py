"""The command `httpproxy`: its commands, its settings, and how it fails."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from httpproxy.cli import logs
from httpproxy.cli.failures import FAILED, explained
from httpproxy.cli.invocation import Invocation

EPILOG = """\b
Exit codes
  0  done
  1  it failed: database, API, port, a finding of doctor or sync verify
  2  used wrongly: an option, a setting, a missing token
  3  there is no such sync, credential, app or key
  4  schema diff --exit-code: there are differences

\b
Examples
  httpproxy demo
  HTTPPROXY_TOKEN=pat… httpproxy sync create airtable --base appX --table Tasks
  httpproxy serve
  httpproxy doctor
"""


COMMANDS: Final = {
    "serve": "serving:serve",
    "sync": "sync.command:sync",
    "credential": "credential:credential",
    "oauth-app": "oauth_app:oauth_app",
    "collections": "collections:collections",
    "mutate": "mutate:mutate",
    "intents": "intents:intents",
    "events": "streams:events",
    "records": "streams:records",
    "schema": "schema.command:schema",
    "apply": "ascode:apply",
    "export": "ascode:export",
    "keys": "keys:keys",
    "secrets": "secrets:secrets",
    "db": "db:db",
    "doctor": "doctor.command:doctor",
    "sandbox": "serving:sandbox",
    "demo": "serving:demo",
    "settings": "settings:settings",
}
"""The commands, and where in this room they are: `module:function`."""


class Commands(click.Group):
    """Loads a command when it is asked for: to start takes half a second otherwise."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own
        """All of them, in the order of the table."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's own
        cmd_name: str,
    ) -> click.Command | None:
        """The command of this name, None if there is none."""
        module, _, name = COMMANDS.get(cmd_name, "").partition(":")
        if not module:
            return None
        found: click.Command = getattr(import_module(f"httpproxy.cli.{module}"), name)
        return found


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(version("httpproxy"), message="%(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file, in place of HTTPPROXY_CONFIG or ./httpproxy.toml.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the embedded Postgres and the keys are, in place of ./.httpproxy.",
)
@click.pass_context
def command(context: click.Context, config: Path | None, data_dir: Path | None) -> None:
    """Write to SaaS APIs with your own client; read the result in Postgres at once.

    Your client only gets another base URL. Settings come from options, HTTPPROXY_
    variables and httpproxy.toml (docs/settings.md).
    """
    context.obj = Invocation(config, {"data_dir": data_dir})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    sys.exit(_outcome(arguments))


def _outcome(arguments: Sequence[str] | None) -> int:
    try:
        ended: Any = command.main(arguments, prog_name="httpproxy", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        return FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last place that can say it in words
        return _failed(error)
    return ended if isinstance(ended, int) else 0


def _failed(error: Exception) -> int:
    failure = explained(error)
    if failure is not None:
        click.echo(f"Error: {logs.masked(str(failure))}", err=True)
        return failure.code
    if logs.verbose():
        click.echo(logs.masked("".join(traceback.format_exception(error))), err=True)
    text = logs.masked(f"{type(error).__name__}: {error}")
    click.echo(
        f"Error: {text}\nThis was not foreseen and is a defect;"
        " HTTPPROXY_LOG_LEVEL=debug shows where it happened.",
        err=True,
    )
    return FAILED

"""`httpproxy serve`, `sandbox` and `demo`: what runs until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from httpproxy import sockets
from httpproxy.cli import logs
from httpproxy.cli.failures import explaining_port
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.running import (
    run,
    settle_memory,
    stop_event,
    until_dismissed,
    until_stopped,
)
from httpproxy.demo import invite, open_demo, present
from httpproxy.office import Office, api_root
from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from httpproxy.service import open_service
from httpproxy.settings.reading import Settings, systemd_sockets
from httpproxy.sockets import Handed, Sockets
from httpproxy.store.awaiting import until_there
from httpproxy.tasks import Tasks
from httpproxy.workers.child import same_program
from httpproxy.workers.parent import supervise
from providers.catalog import PROVIDERS

gateway_host = click.option("--gateway-host", help="The address to listen on.")
gateway_port = click.option("--gateway-port", type=int, help="The port to listen on.")
api_host = click.option("--api-host", help="The address of health, metrics and /v1.")
api_port = click.option("--api-port", type=int, help="The port of health, metrics and /v1.")
sandbox_host = click.option("--sandbox-host", help="The address the sandbox listens on.")
sandbox_port = click.option("--sandbox-port", type=int, help="The port the sandbox listens on.")


@click.command()
@gateway_host
@gateway_port
@api_host
@api_port
@click.option("--roles", help="What to run, with commas. Default: gateway,sync,api.")
@click.option("--workers", type=int, help="How many processes share the port. Default: 1.")
@click.option("--handed", hidden=True, help="What a worker is handed by its parent.")
@click.pass_context
def serve(context: click.Context, /, handed: str | None, **options: Any) -> None:
    """Run the gateway and the sync, until Ctrl-C or SIGTERM.

    Calls that are under way at the end are finished and committed first. With several
    workers SIGHUP replaces them one by one, and no call is refused.

    \b
    Examples
      httpproxy serve
      DATABASE_URL=postgresql://… httpproxy serve --gateway-host 0.0.0.0 --workers 4
      DATABASE_URL=postgresql://… httpproxy serve --roles gateway
    """
    invocation: Invocation = context.obj
    settings = invocation.settings(**options)
    if handed is not None:
        run(settings, _work(settings, sockets.handed(handed)))
        return
    given = sockets.given(systemd_sockets())
    if settings.workers == 1:
        run(settings, _serve(settings, Handed(given)))
    else:
        run(settings, _supervise(settings, given, _typed(context)))


async def _serve(settings: Settings, handed: Handed) -> None:
    stopped = stop_event()  # it may take calls before it says so
    if not await _database_there(settings, stopped):
        return
    with _explaining_ports(settings):
        async with open_service(settings, handed) as service:
            await _present(service.office, service.gateway_url, service.api_url)
            settle_memory()
            await until_stopped(
                "stopping when the calls under way are done; again ends at once", stopped
            )


async def _work(settings: Settings, handed: Handed) -> None:
    """A worker: its parent says what there is to say."""
    stopped = stop_event()
    if not await _database_there(settings, stopped):
        return
    async with open_service(settings, handed):
        settle_memory()
        if handed.parent is not None:
            await until_dismissed(handed.parent, stopped)


async def _supervise(
    settings: Settings, given: Mapping[str, Sockets], typed: Sequence[str]
) -> None:
    def command(handed: Handed) -> Sequence[str]:
        return same_program([*typed, "--handed", handed.spelled()])

    await _database_there(settings, asyncio.Event())  # a signal ends this process
    with _explaining_ports(settings):
        await supervise(settings, given, command, _present)


async def _database_there(settings: Settings, stopped: asyncio.Event) -> bool:
    """Waits for a database that does not answer yet; False if told to stop meanwhile."""
    if settings.database_url is None or settings.database_wait <= 0:
        return True
    dsn, over = settings.database_url.get_secret_value(), asyncio.Event()

    async def wait() -> None:
        await until_there(dsn, settings.database_wait)
        over.set()

    async def hear() -> None:
        await stopped.wait()
        over.set()

    async with Tasks() as tasks:
        tasks.start(wait(), "database")
        tasks.start(hear(), "signals")
        await over.wait()
    return not stopped.is_set()


async def _present(office: Office, gateway_url: str, api_url: str | None) -> None:
    click.echo(f"gateway on {gateway_url}")
    if api_url:
        click.echo(f"health, metrics and /v1 on {api_url}")
    try:
        syncs = await office.registry.syncs()
    except OSError as error:  # it serves already: an outage at this moment does not end that
        click.echo(f"  the syncs cannot be listed now: {logs.masked(str(error))}", err=True)
        return
    for sync in syncs:
        # What does not go to a terminal becomes a log, and logs tell no unique ids.
        seen = sys.stdout.isatty()
        shown = api_root(gateway_url, sync) if seen else f"`httpproxy sync show {sync.name}`"
        click.echo(f"  {sync.name}: {shown}")
    if not syncs:
        click.echo("  no sync yet: `httpproxy sync create --help`")


@contextmanager
def _explaining_ports(settings: Settings) -> Iterator[None]:
    with (
        explaining_port("gateway_port", settings.gateway_host, settings.gateway_port),
        explaining_port("api_port", settings.api_host, settings.api_port),
    ):
        yield


def _typed(context: click.Context) -> list[str]:
    """The command line of this run, option by option. What was not typed is looked up
    again by whoever runs it again."""
    typed: list[str] = []
    for each in filter(None, (context.parent, context)):
        typed += [] if each is not context else [str(each.info_name)]
        for parameter in each.command.params:
            name = str(parameter.name)
            if each.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                typed += [parameter.opts[0], str(each.params[name])]
    return typed


@click.command(short_help="Serve the simulated APIs, for your own tests.")
@sandbox_host
@sandbox_port
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the state is kept. Default: sandbox in the data folder.",
)
@click.option("--memory", is_flag=True, help="Keep nothing; every start is a fresh sandbox.")
@click.pass_obj
def sandbox(
    invocation: Invocation,
    sandbox_host: str | None,
    sandbox_port: int | None,
    folder: Path | None,
    memory: bool,
) -> None:
    """Serve the simulated APIs alone, for your own tests (docs/sandbox.md).

    \b
    Example
      httpproxy sandbox --memory --sandbox-port 0
    """
    settings = invocation.settings(sandbox_host=sandbox_host, sandbox_port=sandbox_port)
    kept = None if memory else folder or settings.data_dir / "sandbox"
    run(settings, _sandbox(settings, kept))


async def _sandbox(settings: Settings, folder: Path | None) -> None:
    host, port = settings.sandbox_host, settings.sandbox_port
    simulators = Simulators(PROVIDERS.values(), folder)
    with explaining_port("sandbox_port", host, port):
        async with SandboxServer(simulators, host, port) as server:
            click.echo(f"sandbox on {server.origin}, side API under {server.origin}/_sandbox")
            for provider in PROVIDERS.values():
                kit = provider.sandbox
                click.echo(f"  {provider.title}: {server.origin}/{provider.hosts[0]}")
                click.echo(f"    account {kit.account}, token {kit.token}")
            await until_stopped("stopping")
    click.echo("nothing is kept" if folder is None else f"the state is in {folder}")


@click.command(short_help="Show it at work: sandboxes, a gateway, a write, its row.")
@gateway_port
@sandbox_port
@click.option("--once", is_flag=True, help="End after the first write, for scripts.")
@click.pass_obj
def demo(
    invocation: Invocation, gateway_port: int | None, sandbox_port: int | None, once: bool
) -> None:
    """Show it at work: sandboxes, a gateway, one write, and the row. Then try it yourself.

    Needs no account, no token and no Postgres. Its data is in ./.httpproxy/demo and is
    found again the next time. Runs until Ctrl-C.
    """
    settings = invocation.settings(gateway_port=gateway_port, sandbox_port=sandbox_port)
    if "log_level" not in settings.model_fields_set:
        # What it shows is on the same terminal: the sync's progress would stand in between.
        logs.configure("warning", settings.log_format)
    run(settings, _demo(settings, once))


async def _demo(settings: Settings, once: bool) -> None:
    with (
        explaining_port("gateway_port", settings.gateway_host, settings.gateway_port),
        explaining_port("sandbox_port", settings.sandbox_host, settings.sandbox_port),
    ):
        async with open_demo(settings) as running:
            await present(running, click.echo)
            if not once:
                invite(running, click.echo)
                await until_stopped("stopping")

"""`httpproxy sync create PROVIDER`: one subcommand for each provider of the catalog.

Its options follow from the provider's description, so a new provider needs nothing
here. The token comes from HTTPPROXY_TOKEN, a hidden prompt or standard input, never
from an argument: arguments are seen by everybody on the machine and stay in shell
histories.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any, Final

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model, read_object
from httpproxy.cli.output import as_json
from httpproxy.cli.running import run
from httpproxy.cli.sync.discovering import narrated
from httpproxy.cli.sync.summary import summary
from httpproxy.management.credentials.entering import NewCredential
from httpproxy.management.syncs.documents import NewSync
from httpproxy.management.syncs.standing import as_limit
from httpproxy.settings.reading import Settings, environment
from providers.catalog import PROVIDERS
from providers.spec import Budget, Provider

_RATE: Final = re.compile(
    r"(?:([a-z_]+)=)?(\d{1,9})/(\d{1,6}(?:\.\d{1,3})?)(?:/(\d{1,9}))?", re.ASCII
)


@click.group()
def create() -> None:
    """Make a sync: discover an account's collections and make a table for each.

    The token is read from HTTPPROXY_TOKEN or from standard input; it is stored sealed.
    """


def read_token(provider: Provider) -> str:
    """The token from the environment, a prompt or standard input. Raises Failure."""
    token = environment().get("HTTPPROXY_TOKEN", "")
    if not token:
        if sys.stdin.isatty():
            token = click.prompt(f"{provider.title} token", hide_input=True, err=True)
        else:
            token = sys.stdin.read()
    token = token.strip()
    kind = provider.credential_kinds[0]
    if not token:
        raise Failure(
            f"no token: set HTTPPROXY_TOKEN, or give it on standard input. {kind.help}", USAGE
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(f"that is no token: it has spaces or odd characters. {kind.help}", USAGE)
    return token


def read_rates(provider: Provider, texts: tuple[str, ...]) -> tuple[Budget, ...]:
    """The rates that `--rate` sets, one per budget; the last one counts. Raises Failure.

    Nothing for a budget that it does not name: that one follows the provider's default
    and what the API says.
    """
    rates: dict[str, Budget] = {}
    known = {budget.name: budget for budget in (*provider.budgets, *provider.default_rates)}
    for text in texts:
        found = _RATE.fullmatch(text)
        name = (found and found[1]) or provider.default_rates[0].name
        if found is None or int(found[2]) < 1 or float(found[3]) <= 0:
            raise Failure(
                f"--rate {text}: must be [BUDGET=]REQUESTS/SECONDS[/AT_ONCE], such as 5/1",
                USAGE,
            )
        if name not in known:
            raise Failure(
                f"--rate {text}: no budget {name!r}; there are {', '.join(known)}", USAGE
            )
        rates[name] = replace(
            known[name],
            allowed_requests=int(found[2]),
            interval=float(found[3]),
            max_concurrent_requests=int(found[4] or known[name].max_concurrent_requests),
        )
    return tuple(rates.values())


async def _created(settings: Settings, wanted: NewSync) -> dict[str, Any]:
    async with open_desk(settings) as desk:
        document, _ = await desk.services.syncs.create(wanted, narrated)
        made = await desk.sync(document.id)
        return summary(document, await desk.registry.tables(made))


def _wanted(provider: Provider, given: dict[str, Any]) -> NewSync:
    """The document of a new sync, out of the options and the token. Raises Failure."""
    rates = read_rates(provider, given["rate"])
    account, stored = given.get("account"), given["credential"]
    if provider.account_option and account is None and stored is None:
        raise Failure(f"Missing option '--{provider.account_option}'.", USAGE)
    members = {
        "provider": provider.name,
        "account": account,
        "name": given["name"],
        "schema": given["schema"],
        "collection_ids": list(given["collections"]) or None,
        "rate_limits": {rate.name: as_limit(rate).model_dump() for rate in rates},
        "external_id": given["external_id"],
        "metadata": read_object("--metadata", given["metadata"]) or {},
        "status": "paused" if given["paused"] else "active",
    }
    if stored is not None:
        return model(NewSync, {**members, "credential_id": stored})
    credential = {
        "kind": given["credential_kind"],
        "provider": provider.name,
        "access_token": read_token(provider),
    }
    return model(NewSync, {**members, "credential": model(NewCredential, credential)})


def _run(provider: Provider, invocation: Invocation, given: dict[str, Any]) -> None:
    settings = invocation.settings()
    made = run(settings, _created(settings, _wanted(provider, given)))
    if given["wants_json"]:
        as_json(made)
        return
    click.echo(f"sync      {made['name']}")
    click.echo(f"API root  {made['api_root']}")
    for table in made["tables"]:
        click.echo(
            f"table     {made['schema']}.{table['name']}  ({len(table['columns'])} columns)"
        )
    click.echo(
        "\nGive your client the API root as its base URL, and run `httpproxy serve`. It also"
        f"\nfills the tables: `httpproxy sync watch {made['name']}` shows how far it is."
    )


def _command(provider: Provider) -> click.Command:
    @click.pass_obj
    def callback(invocation: Invocation, /, **given: Any) -> None:
        _run(provider, invocation, given)

    return click.Command(
        provider.name,
        params=[*_account(provider), *_options(provider)],
        callback=callback,
        help=_help(provider),
        short_help=f"Make a sync of {provider.title}.",
    )


def _account(provider: Provider) -> list[click.Parameter]:
    account = provider.account_option
    if account is None:
        return []
    help_ = f"The {provider.title} {account} to sync ({provider.sandbox.account})."
    return [click.Option([f"--{account}", "account"], metavar=account.upper(), help=help_)]


def _options(provider: Provider) -> list[click.Parameter]:
    collection = provider.collection_option
    kinds = [kind.name for kind in provider.credential_kinds]
    return [
        click.Option(
            [f"--{collection}", "collections"],
            multiple=True,
            metavar=collection.upper(),
            help=f"A {collection} to sync, by name or id; repeat it for more. Without it: all.",
        ),
        click.Option(
            ["--name"], help="The sync's name; made from provider and account if not given."
        ),
        click.Option(
            ["--schema"], help="The Postgres schema for its tables; made up if not given."
        ),
        click.Option(
            ["--rate"],
            multiple=True,
            metavar="[BUDGET=]N/SECONDS",
            help="The most that this sync may use of a budget. Without it:"
            f" {_shown(provider.default_rates)}, and what the API's answers say in its place.",
        ),
        click.Option(
            ["--credential-kind"], type=click.Choice(kinds), default=kinds[0], show_default=True
        ),
        click.Option(
            ["--credential"],
            metavar="ID",
            help="A stored credential, by id or name (`httpproxy credential list`), in place of"
            " a token.",
        ),
        *own_options(),
        click.Option(["--paused"], is_flag=True, help="It begins when it is resumed."),
        click.Option(["--json", "wants_json"], is_flag=True, help="JSON, for scripts."),
    ]


def own_options() -> list[click.Parameter]:
    """What users write to a sync: the options for it."""
    return [
        click.Option(["--external-id"], metavar="ID", help="Your own id of it, unique."),
        click.Option(
            ["--metadata"], metavar="JSON", help="An object of your own, to find it by."
        ),
    ]


def _shown(rates: tuple[Budget, ...]) -> str:
    return ", ".join(f"{r.name}={r.allowed_requests}/{r.interval:g}" for r in rates)


def _help(provider: Provider) -> str:
    account = f" --{provider.account_option} {provider.sandbox.account}"
    collections = "".join(
        f" --{provider.collection_option} {name}" for name in provider.sandbox.collections[:2]
    )
    call = (
        f"sync create {provider.name}{account if provider.account_option else ''}{collections}"
    )
    kinds = "\n\n".join(
        f"{kind.title} ({kind.name}). {kind.help}" for kind in provider.credential_kinds
    )
    return (
        f"Make a sync of {provider.title}.\n\n{kinds}\n\n\b\nExamples\n"
        f"  HTTPPROXY_TOKEN=… httpproxy {call}\n"
        f"  httpproxy {call} < token.txt"
    )


for _provider in PROVIDERS.values():
    create.add_command(_command(_provider))

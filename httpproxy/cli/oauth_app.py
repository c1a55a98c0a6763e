"""`httpproxy oauth-app`: the apps that a product is registered as at providers.

What is done is `management.oauth_apps`, as the API does it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import click

from httpproxy.cli.failures import explaining_names
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model, pages, work
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.prompting import Asked, read_secrets
from httpproxy.management.credentials.oauth_apps import (
    NewOAuthApp,
    OAuthAppDocument,
    OAuthAppFilters,
    OAuthAppPatch,
)
from httpproxy.management.services import Services
from providers.catalog import PROVIDERS

SECRET: Final = Asked(
    "HTTPPROXY_CLIENT_SECRET",
    "client secret",
    "The provider shows it with the client id; an app without one is made with --public.",
)
_COLUMNS: Final = ("id", "provider", "name", "client_id", "has_secret")

name_option = click.option("--name", help="A name of its own, to find it by.")


@click.group("oauth-app", short_help="OAuth apps, by which tokens are refreshed.")
def oauth_app() -> None:
    """OAuth apps: by which the tokens of a product's users are refreshed.

    The client secret is read from HTTPPROXY_CLIENT_SECRET or from standard input, and stored
    sealed.
    """


@oauth_app.command()
@click.argument("provider", type=click.Choice(sorted(PROVIDERS)))
@click.argument("client_id")
@click.option("--public", is_flag=True, help="The app has no client secret.")
@name_option
@json_option
@click.pass_obj
def create(
    invocation: Invocation,
    provider: str,
    client_id: str,
    public: bool,
    name: str | None,
    wants_json: bool,
) -> None:
    """Store the app of a CLIENT_ID, or give it another secret.

    \b
    Example
      HTTPPROXY_CLIENT_SECRET=… httpproxy oauth-app create airtable 5c9d… --name acme
    """
    settings = invocation.settings()
    (secret,) = [None] if public else read_secrets([SECRET])
    body = model(
        NewOAuthApp,
        {"provider": provider, "client_id": client_id, "client_secret": secret, "name": name},
    )

    async def store(services: Services) -> OAuthAppDocument:
        with explaining_names("OAuth app"):
            return (await services.oauth_apps.create(body))[0]

    _show(work(settings, store), wants_json)


@oauth_app.command("list")
@click.option("--provider", type=click.Choice(sorted(PROVIDERS)), help="Of this provider.")
@json_option
@click.pass_obj
def list_(invocation: Invocation, provider: str | None, wants_json: bool) -> None:
    """List the apps. Never their secrets."""
    filters = OAuthAppFilters(provider=provider)

    async def listed(services: Services) -> list[OAuthAppDocument]:
        return await pages(partial(services.oauth_apps.page, filters))

    found = [each.model_dump(mode="json") for each in work(invocation.settings(), listed)]
    if wants_json:
        as_json(found)
    else:
        as_table(_COLUMNS, [[each[name] for name in _COLUMNS] for each in found])


@oauth_app.command()
@click.argument("app")
@json_option
@click.pass_obj
def show(invocation: Invocation, app: str, wants_json: bool) -> None:
    """Show an APP, by id or name."""

    async def shown(services: Services) -> OAuthAppDocument:
        return (await services.oauth_apps.get(app))[0]

    _show(work(invocation.settings(), shown), wants_json)


@oauth_app.command()
@click.argument("app")
@click.option("--secret", "reads_secret", is_flag=True, help="Give it another secret.")
@click.option("--client-id", help="Give it another client id.")
@name_option
@json_option
@click.pass_obj
def update(
    invocation: Invocation, /, app: str, reads_secret: bool, wants_json: bool, **given: Any
) -> None:
    """Change an APP: what is named, and nothing else."""
    settings = invocation.settings()
    named = {name: value for name, value in given.items() if value is not None}
    if reads_secret:
        (named["client_secret"],) = read_secrets([SECRET])
    patch = model(OAuthAppPatch, named)

    async def changed(services: Services) -> OAuthAppDocument:
        with explaining_names("OAuth app"):
            return (await services.oauth_apps.change(app, patch))[0]

    _show(work(settings, changed), wants_json)


@oauth_app.command()
@click.argument("app")
@click.pass_obj
def delete(invocation: Invocation, app: str) -> None:
    """Delete an APP that refreshes no credential."""
    work(invocation.settings(), lambda services: services.oauth_apps.delete(app))
    click.echo(f"OAuth app {app} is deleted")


def _show(found: OAuthAppDocument, wants_json: bool) -> None:
    told = found.model_dump(mode="json")
    if wants_json:
        as_json(told)
    else:
        for name, value in told.items():
            click.echo(f"{name:<12}{'' if value is None else value}".rstrip())

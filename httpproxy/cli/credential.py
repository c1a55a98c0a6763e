"""`httpproxy credential`: credentials are stored, looked at, changed, checked and deleted.

What is done is `management.credentials`, as the API does it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import click
import orjson

from httpproxy.cli.failures import FAILED, explaining_names
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model, pages, read_object, work
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.prompting import Asked, read_secrets
from httpproxy.management.credentials.documents import CredentialDocument, CredentialFilters
from httpproxy.management.credentials.entering import CredentialPatch, NewCredential, kind_of
from httpproxy.management.credentials.inspecting import Check
from httpproxy.management.services import Services
from providers.catalog import PROVIDERS
from providers.credentials import CredentialKind

KINDS: Final = [kind.name for each in PROVIDERS.values() for kind in each.credential_kinds]
_VARIABLES: Final = {
    "access_token": "HTTPPROXY_TOKEN",
    "refresh_token": "HTTPPROXY_REFRESH_TOKEN",
}

name_option = click.option("--name", help="A name of its own, to find it by.")
app_option = click.option("--app", "app", metavar="APP", help="The OAuth app of its tokens.")
metadata_option = click.option("--metadata", metavar="JSON", help="An object of your own.")
expiry_option = click.option(
    "--expires-in",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long the access token is good for still, if it ends.",
)


@click.group(short_help="Credentials: what opens accounts at providers.")
def credential() -> None:
    """Credentials: what opens accounts at providers.

    Tokens are read from HTTPPROXY_TOKEN and HTTPPROXY_REFRESH_TOKEN, or from standard input,
    a line for each. They are stored sealed.
    """


@credential.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--account", help="The account that it is for, if the token does not tell.")
@name_option
@app_option
@expiry_option
@metadata_option
@json_option
@click.pass_obj
def create(invocation: Invocation, /, kind: str, wants_json: bool, **given: Any) -> None:
    """Store a credential, over the one that its account has. The API is asked first what it
    opens.

    \b
    Examples
      HTTPPROXY_TOKEN=pat… httpproxy credential create airtable_token --account appX
      httpproxy credential create hubspot_private_app < token.txt
    """
    provider, known = kind_of(kind)
    entered = {
        "kind": kind,
        "name": given["name"],
        "expires_in": given["expires_in"],
        "metadata": read_object("--metadata", given["metadata"]),
        "properties": {
            **_secrets(known),
            **_named(provider.account_property, given["account"]),
            **_named("oauth_app_id", given["app"]),
        },
    }
    body = model(NewCredential, {name: v for name, v in entered.items() if v is not None})

    async def store(services: Services) -> CredentialDocument:
        with explaining_names("credential"):
            return (await services.credentials.create(body))[0]

    _show(work(invocation.settings(), store), wants_json)


@credential.command("list")
@click.option("--provider", type=click.Choice(sorted(PROVIDERS)), help="Of this provider.")
@click.option("--kind", type=click.Choice(KINDS), help="Of this kind.")
@click.option("--account", help="For this account.")
@click.option("--app", "oauth_app_id", metavar="APP", help="Refreshed by this OAuth app.")
@metadata_option
@json_option
@click.pass_obj
def list_(invocation: Invocation, /, wants_json: bool, **given: Any) -> None:
    """List the credentials that fit. Secrets are masked."""
    filters = model(CredentialFilters, given)

    async def listed(services: Services) -> list[CredentialDocument]:
        return await pages(partial(services.credentials.page, filters))

    found = work(invocation.settings(), listed)
    if wants_json:
        as_json([each.model_dump(mode="json") for each in found])
        return
    columns = ["id", "name", "kind", "account", "expires", "trouble"]
    rows = [[c.id, c.name, c.kind, c.account, c.expires_at, c.trouble] for c in found]
    as_table(columns, rows)


@credential.command()
@click.argument("credential")
@json_option
@click.pass_obj
def show(invocation: Invocation, credential: str, wants_json: bool) -> None:
    """Show a CREDENTIAL, by id or name. Its secrets are masked."""

    async def shown(services: Services) -> CredentialDocument:
        return (await services.credentials.get(credential))[0]

    _show(work(invocation.settings(), shown), wants_json)


@credential.command()
@click.argument("credential")
@click.option("--token", "reads_token", is_flag=True, help="Give it another token.")
@name_option
@app_option
@expiry_option
@metadata_option
@json_option
@click.pass_obj
def update(
    invocation: Invocation,
    /,
    credential: str,
    reads_token: bool,
    wants_json: bool,
    **given: Any,
) -> None:
    """Change a CREDENTIAL: what is named, and nothing else. Metadata is merged.

    \b
    Examples
      HTTPPROXY_TOKEN=pat… httpproxy credential update cred_… --token
      httpproxy credential update cred_… --metadata '{"customer": 42}'
    """
    changes = {
        "name": given["name"],
        "expires_in": given["expires_in"],
        "oauth_app_id": given["app"],
        "metadata": read_object("--metadata", given["metadata"]),
    }

    async def changed(services: Services) -> CredentialDocument:
        named = {name: value for name, value in changes.items() if value is not None}
        if reads_token:
            found = await services.credentials.found(credential)
            named |= _secrets(kind_of(found.kind, found.provider)[1])
        with explaining_names("credential"):
            patch = model(CredentialPatch, named)
            return (await services.credentials.change(credential, patch))[0]

    _show(work(invocation.settings(), changed), wants_json)


@credential.command()
@click.argument("credential")
@click.pass_obj
def delete(invocation: Invocation, credential: str) -> None:
    """Delete a CREDENTIAL that no sync uses."""
    work(invocation.settings(), lambda services: services.credentials.delete(credential))
    click.echo(f"credential {credential} is deleted")


@credential.command()
@click.argument("credential")
@json_option
@click.pass_obj
def check(invocation: Invocation, credential: str, wants_json: bool) -> int:
    """Ask the API what a CREDENTIAL may do now; exit code 1 if it is not enough."""
    found = work(invocation.settings(), lambda services: services.credentials.check(credential))
    if wants_json:
        as_json(found.model_dump(mode="json"))
    else:
        _say(found)
    return 0 if found.ok else FAILED


def _say(found: Check) -> None:
    click.echo("it works" if found.ok else f"it does not work: {found.trouble}")
    for lack in found.missing:
        what = "missing" if lack.required else "missing, can be done without"
        click.echo(f"{what}: {lack.scope}, for {lack.needed_for}")
    for each in found.accounts:
        click.echo(f"reaches  {each.id}  {each.name}")


def _secrets(kind: CredentialKind) -> dict[str, str]:
    """The secrets of a kind, read. Raises Failure."""
    wanted = [each for each in kind.properties if each.secret]
    asked = [Asked(_VARIABLES[w.name], w.title, w.help, w.required) for w in wanted]
    given = zip(wanted, read_secrets(asked), strict=True)
    return {each.name: text for each, text in given if text is not None}


def _named(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _show(found: CredentialDocument, wants_json: bool) -> None:
    if wants_json:
        as_json(found.model_dump(mode="json"))
        return
    for name, value in found.model_dump(mode="json", exclude={"check"}).items():
        if value not in (None, {}):
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            click.echo(f"{name:<14}{text}")

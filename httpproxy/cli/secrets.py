"""`httpproxy secrets`: the key that seals the stored credentials is changed."""

from __future__ import annotations

import click

from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.running import run
from httpproxy.office import open_office
from httpproxy.settings.reading import Settings
from httpproxy.store.secrets.sealing import Resealed, Sealing
from httpproxy.store.secrets.vault import KEY_FILE, add_key


@click.group()
def secrets() -> None:
    """The stored credentials and the key that seals them."""


@secrets.command()
@click.option(
    "--new-key",
    is_flag=True,
    help=f"First put a new key into {KEY_FILE} of the data folder, for all that runs there.",
)
@click.pass_obj
def rotate(invocation: Invocation, new_key: bool) -> None:
    """Seal with the key in use whatever a former one seals, while everything goes on.

    Every process must know both keys by then (docs/security.md). What no known key opens
    is named, and left as it is.

    \b
    Examples
      httpproxy secrets rotate --new-key
      HTTPPROXY_SECRET_KEY=… HTTPPROXY_FORMER_SECRET_KEYS=… httpproxy secrets rotate
    """
    settings = invocation.settings()
    if new_key and settings.secret_key is not None:
        raise Failure(
            "the key is set in HTTPPROXY_SECRET_KEY: set a new one there, and the present one"
            " in HTTPPROXY_FORMER_SECRET_KEYS, for every process; then run this without"
            " --new-key",
            USAGE,
        )
    key_id, done, sealed = run(settings, _rotated(settings, new_key=new_key))
    click.echo(f"{done.secrets} sealed anew, {sealed} in all are sealed with key {key_id}")
    if done.left:
        raise Failure("\n".join((f"{len(done.left)} could not be opened:", *done.left)))
    where = KEY_FILE if settings.secret_key is None else "HTTPPROXY_FORMER_SECRET_KEYS"
    click.echo(f"former keys in {where} are needed for backups alone", err=True)


async def _rotated(settings: Settings, *, new_key: bool) -> tuple[str, Resealed, int]:
    async with open_office(settings) as office:
        if new_key:
            add_key(settings.data_dir)
        sealing = Sealing(office.database, office.vault)
        done = await sealing.reseal()
        sealed = (await sealing.census()).get(office.vault.key_id, 0)
        return office.vault.key_id, done, sealed

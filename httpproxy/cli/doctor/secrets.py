"""What `doctor` says of the sealed secrets and their keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from httpproxy.cli.doctor.symptoms import Finding, Level
from httpproxy.office import Office
from httpproxy.store.errors import KeyMismatch
from httpproxy.store.secrets.sealing import Sealing

_MOST_NAMED: Final = 5


async def secrets_of(office: Office) -> AsyncIterator[Finding]:
    """Whether every stored secret has its key and opens; nothing where none is stored."""
    sealing = Sealing(office.database, office.vault)
    sealed = await sealing.census()
    if not sealed:
        return
    try:
        await sealing.require_keys()
    except KeyMismatch as error:
        yield Finding(
            Level.PROBLEM,
            "secrets",
            str(error),
            "until then `httpproxy serve` does not start (docs/security.md)",
        )
        return
    unreadable = await sealing.unreadable()
    if unreadable:
        named = ", ".join(whose for whose, _ in unreadable[:_MOST_NAMED])
        told = f"{len(unreadable)} of {sum(sealed.values())}"
        yield Finding(
            Level.PROBLEM,
            "secrets",
            f"{told} do not open ({named}): {unreadable[0][1]}",
            "enter them anew: `httpproxy credential create`, `httpproxy oauth-app create`",
        )
        return
    former = sum(n for key_id, n in sealed.items() if key_id != office.vault.key_id)
    if former:
        said = f"{former} of {sum(sealed.values())} are sealed with a former key"
        yield Finding(Level.WARNING, "secrets", said, "`httpproxy secrets rotate`")
    else:
        number = sum(sealed.values())
        said = f"{number} sealed with the key in use, {office.vault.key_id}"
        yield Finding(Level.OK, "secrets", said)

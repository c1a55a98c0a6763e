"""The address of a Postgres that a user named, made safe to connect to.

libpq does far more than connect: it reads files that a DSN names (keys, passwords,
service files), opens sockets of this machine, and takes what the DSN leaves out from
our own environment, the operator's password file among it. So the DSN is parsed by
libpq itself and built anew from the few parameters that are let through, its one host
is looked up and checked by the caller's `look_up`, and the connection goes to the
address that was checked; TLS proves the name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
PASSED: Final = frozenset({"host", "port", "user", "password", "dbname", "application_name"})
REQUIRED: Final = ("host", "user", "password", "dbname")
TLS: Final = ("verify-full", "verify-ca", "require")
CONNECT_SECONDS: Final = 10


class BadDestination(Exception):
    """A DSN that is not connected to. The text says why, and tells nothing of its values."""


async def check_dsn(dsn: str, look_up: LookUp, *, weakest_tls: str = "verify-full") -> str:
    """A DSN for the same database that names a checked address and nothing local.

    `weakest_tls` is the operator's word on what a user may choose as sslmode. Raises
    BadDestination, and what `look_up` raises. To be asked before every connect.
    """
    given = _parsed(dsn)
    mode = str(given.pop("sslmode", "verify-full"))
    if mode not in TLS[: TLS.index(weakest_tls) + 1]:
        raise BadDestination(
            f"sslmode must be {' or '.join(TLS[: TLS.index(weakest_tls) + 1])}"
        )
    unknown = sorted(given.keys() - PASSED)
    if unknown:
        raise BadDestination(f"{', '.join(unknown)} cannot be set here")
    lacking = [name for name in REQUIRED if not given.get(name)]
    if lacking:
        raise BadDestination(f"{', '.join(lacking)} must be given")
    host, port = _endpoint(str(given["host"]), str(given.get("port") or "5432"))
    addresses = await look_up(host, port)
    if not addresses:
        raise BadDestination("the host has no address")
    passed = {name: str(value) for name, value in given.items()}
    return make_conninfo(
        **passed,
        hostaddr=addresses[0],
        sslmode=mode,
        sslcertmode="disable",  # no client certificate of ours is shown
        gssencmode="disable",
        connect_timeout=CONNECT_SECONDS,
        **({"sslrootcert": "system"} if mode == "verify-full" else {}),
    )


def _parsed(dsn: str) -> dict[str, object]:
    try:
        return dict(conninfo_to_dict(dsn))
    except (psycopg.Error, UnicodeError) as error:  # its text may quote the password
        raise BadDestination("this is not a DSN that libpq can read") from error


def _endpoint(host: str, port: str) -> tuple[str, int]:
    """One host by name or address, one port: no list, no socket of this machine."""
    if "," in host or "," in port:
        raise BadDestination("one host and one port, not a list")
    if host.startswith(("/", "@")) or not host.isascii() or not host.isprintable():
        raise BadDestination("the host must be a name or an IP address")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise BadDestination("the port must be a number from 1 to 65535")
    return host, int(port)

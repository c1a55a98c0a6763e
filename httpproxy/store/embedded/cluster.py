"""The files of an embedded server: its cluster, its process id, its port, its log.

`postmaster.pid` is Postgres' own: the process id, and once the server listens its port.
After a crash it is stale, and the id may have become another program's; Postgres would
then refuse to start, so it is looked at before.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from httpproxy.store.embedded.binaries import Binaries
from httpproxy.store.embedded.premises import Premises
from httpproxy.store.errors import EmbeddedError

log = logging.getLogger(__name__)

USER: Final = "httpproxy"
DATABASE: Final = "httpproxy"
_POLL: Final = 0.1
_LOG_BYTES: Final = 5_000_000


def make_cluster(premises: Premises, binaries: Binaries) -> None:
    """Runs initdb, and leaves either a whole cluster or none. Raises EmbeddedError."""
    draft = premises.folder / "data.new"
    if draft.exists():  # a start that was killed half-way
        shutil.rmtree(draft)
    password = premises.password_file
    if not password.exists():
        handle = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    premises.servant.hand_over(password, 0o600)
    command = [f"{binaries.folder / 'initdb'}", "-D", f"{draft}", "-U", USER]
    command += ["--auth=scram-sha-256", f"--pwfile={password}"]
    command += ["--encoding=UTF8", "--locale=C"]
    if binaries.major >= 17:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = subprocess.run(  # noqa: S603  # a program of the Postgres that was found
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment(),
        **premises.servant.popen(),
    )
    if made.returncode != 0:
        raise EmbeddedError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")
    draft.rename(premises.data)


def make_database(premises: Premises, port: int) -> None:
    """Makes our database on the first start."""
    with psycopg.connect(dsn(premises, port, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))


def environment() -> dict[str, str]:
    """What the server's programs see of ours: nothing."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def dsn(premises: Premises, port: int, database: str = DATABASE) -> str:
    """The DSN of the server on `port`. Holds the password."""
    password = premises.password_file.read_text(encoding="ascii").strip()
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def _pid_lines(premises: Premises) -> list[str]:
    try:
        return premises.pid_file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def listening_port(premises: Premises) -> int | None:
    """The port in postmaster.pid: it is there once the server listens."""
    lines = _pid_lines(premises)
    return int(lines[3]) if len(lines) > 5 and lines[3].isdigit() else None


def server_pid(premises: Premises) -> int | None:
    """The server's process id, None if postmaster.pid is stale or missing."""
    pid = _noted_pid(premises)
    return pid if pid is not None and str(premises.data) in _command(pid) else None


def _noted_pid(premises: Premises) -> int | None:
    lines = _pid_lines(premises)
    if not lines or not re.fullmatch(r"-?\d+", lines[0]):
        return None
    return abs(int(lines[0]))


def _command(pid: int) -> str:
    """The command line of a process, empty if there is none or it is not shown to us."""
    shown = Path(f"/proc/{pid}/cmdline")
    try:
        return shown.read_bytes().replace(b"\0", b" ").decode("utf-8", "surrogateescape")
    except OSError:
        if shown.parents[1].joinpath("self").exists():
            return ""  # this system has /proc, and not this process
    told = subprocess.run(  # noqa: S603  # macOS
        ["/bin/ps", "-o", "command=", "-p", f"{pid}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip()


def stop_orphan(premises: Premises) -> None:
    """Stops a server whose owner is gone, and removes a stale postmaster.pid."""
    for ask, patience in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        pid = server_pid(premises)
        if pid is None:
            break
        log.warning("a database server without an owner (pid %d) is stopped", pid)
        os.kill(pid, ask)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and server_pid(premises) == pid:
            time.sleep(_POLL)
    noted = _noted_pid(premises)
    if noted is not None and _command(noted):
        premises.pid_file.unlink(missing_ok=True)  # the id is another program's by now


def free_port(premises: Premises) -> int:
    """The port of last time if it is free, else another, which is remembered."""
    try:
        remembered = int(premises.port_file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        remembered = 0
    port = _bindable(remembered) or _bindable(0)
    if port is None:
        raise EmbeddedError("no free port on 127.0.0.1")
    if port != remembered:
        premises.port_file.write_text(f"{port}\n", encoding="ascii")
        premises.servant.hand_over(premises.port_file, 0o644)
    return port


def _bindable(port: int) -> int | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        number: int = probe.getsockname()[1]
        return number


def turn_log(premises: Premises) -> None:
    """Keeps the server's log and the one before it."""
    path = premises.log_file
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name("log.1"))
    path.touch()
    premises.servant.hand_over(path, 0o600)


def log_end(premises: Premises) -> str:
    """The last lines of the server\'s log."""
    text = premises.log_file.read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.splitlines()[-10:])

"""A Postgres of our own, where the operator gives none.

    binaries   which Postgres
    premises   where it lives and as whom it runs
    leash.sh   its parent, which stops it when we are gone

The server is a child of a small shell script in a session of its own: Ctrl-C in our
terminal does not reach it before we have closed our connections, and the script stops
it when the pipe to us closes, which even kill -9 does. Settings are durable.

One process owns the server of a data folder, and holds a lock file for as long as it
lives. Another process on the same folder connects to the server that is there. A server
whose owner is gone (both killed at once) is stopped and started anew.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg.sql import SQL, Identifier

from httpproxy.store.binaries import Binaries, find_binaries
from httpproxy.store.errors import EmbeddedError
from httpproxy.store.premises import Premises, existing, settle, within_reach

log = logging.getLogger(__name__)

USER: Final = "httpproxy"
DATABASE: Final = "httpproxy"
START_SECONDS: Final = 60.0  # recovery after a crash is part of a start
STOP_SECONDS: Final = 15.0  # leash.sh gives 10 to the polite way
_POLL: Final = 0.02
_LOCK_FILE: Final = "postgres.lock"
_LOG_BYTES: Final = 5_000_000

# Durable as Postgres is by default; only what a small machine or our use asks for.
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def running_dsn(data_dir: Path) -> str | None:
    """The DSN of the server that runs on this data folder, None if none does."""
    premises = existing(data_dir)
    if premises is None or not premises.password_file.exists():
        return None
    port = _listening_port(premises)
    if port is None:
        return None
    dsn = _dsn(premises, port)
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            where = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:
        return None
    # A remembered port may be another server's by now.
    return dsn if where and Path(where[0]).resolve() == premises.data.resolve() else None


class EmbeddedPostgres:
    """The server of a data folder: `with EmbeddedPostgres(folder) as server: server.dsn`.

    `bin_dir` names a folder of Postgres programs, `settings` are further server
    settings. `owned` tells whether this process started the server and will stop it.
    Blocks while it starts or stops: in asyncio call it in a thread.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._bin_dir = bin_dir
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock: int | None = None
        self._leash: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._premises: Premises | None = None
        self.dsn = ""

    def __repr__(self) -> str:
        state = "owned" if self.owned else "joined" if self.dsn else "stopped"
        return f"EmbeddedPostgres({str(self._data_dir)!r}, {state})"

    @property
    def owned(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The process id of the server, None if it does not run."""
        return None if self._premises is None else _server_pid(self._premises)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Starts the server, or finds the one that runs; returns its DSN.

        Raises EmbeddedError.
        """
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            deadline = time.monotonic() + START_SECONDS
            while not self._take_lock():
                found = running_dsn(self._data_dir)
                if found is not None:
                    self.dsn = found
                    return found
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"another process holds {self._data_dir} and its database does not"
                        " answer"
                    )
                time.sleep(_POLL)
            self._own()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"the embedded database cannot be started: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def _take_lock(self) -> bool:
        path = self._data_dir / _LOCK_FILE
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def _own(self) -> None:
        premises = self._premises = settle(self._data_dir)
        premises.servant.hand_over(self._data_dir / _LOCK_FILE, 0o600)
        binaries = within_reach(premises.servant, find_binaries(self._bin_dir, premises.major))
        _stop_orphan(premises)
        if premises.major is None:
            _make_cluster(premises, binaries)
        for _ in range(3):  # somebody may take the port between our look and the start
            port = _free_port(premises)
            self._spawn(premises, binaries, port)
            if self._wait_until_ready(premises, port):
                break
        else:
            raise EmbeddedError(
                f"Postgres does not start; the end of {premises.log_file}:\n"
                + _log_end(premises)
            )
        self.dsn = _dsn(premises, port)
        _make_database(premises, port)

    def _spawn(self, premises: Premises, binaries: Binaries, port: int) -> None:
        _turn_log(premises)
        settings = {**self._settings, "port": str(port)}
        arguments = [part for name in settings for part in ("-c", f"{name}={settings[name]}")]
        reading, self._leash = os.pipe()
        script = files(__package__).joinpath("leash.sh").read_text(encoding="utf-8")
        try:
            with premises.log_file.open("ab") as server_log:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", script, "leash.sh"]
                    + [f"{binaries.folder / 'postgres'}", "-D", f"{premises.data}", *arguments],
                    stdin=reading,
                    stdout=server_log,
                    stderr=server_log,
                    cwd=premises.folder if not premises.servant.switched else "/",
                    env=_environment(),
                    start_new_session=True,
                    **premises.servant.popen(),
                )
        finally:
            os.close(reading)

    def _wait_until_ready(self, premises: Premises, port: int) -> bool:
        process = self._process
        deadline = time.monotonic() + START_SECONDS
        while process is not None and time.monotonic() < deadline:
            if process.poll() is not None:
                self._let_go()
                return False
            if _listening_port(premises) == port:
                try:
                    psycopg.connect(_dsn(premises, port, "postgres"), connect_timeout=5).close()
                except psycopg.errors.InvalidPassword as error:
                    raise EmbeddedError(
                        f"{premises.password_file} is not the database's password"
                    ) from error
                except psycopg.OperationalError:
                    pass  # still starting
                else:
                    return True
            time.sleep(_POLL)
        raise EmbeddedError(f"Postgres is not ready after {START_SECONDS:.0f} seconds")

    def stop(self) -> None:
        """Stops the server if we own it. Committed data is safe whichever way it ends."""
        self._let_go()
        self.dsn = ""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _let_go(self) -> None:
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("the embedded database does not stop: killed")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._premises is not None and process.returncode < 0:
            _stop_orphan(self._premises)  # the leash itself was killed


def _make_cluster(premises: Premises, binaries: Binaries) -> None:
    draft = premises.folder / "data.new"
    if draft.exists():  # a start that was killed half-way
        shutil.rmtree(draft)
    password = premises.password_file
    if not password.exists():
        handle = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    premises.servant.hand_over(password, 0o600)
    locale = ["--locale=C"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = subprocess.run(
        [f"{binaries.folder / 'initdb'}", "-D", f"{draft}", "-U", USER, *locale]
        + ["--encoding=UTF8", "--auth=scram-sha-256", f"--pwfile={password}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        **premises.servant.popen(),
    )
    if made.returncode != 0:
        raise EmbeddedError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")
    draft.rename(premises.data)


def _make_database(premises: Premises, port: int) -> None:
    with psycopg.connect(_dsn(premises, port, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _dsn(premises: Premises, port: int, database: str = DATABASE) -> str:
    password = premises.password_file.read_text(encoding="ascii").strip()
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def _pid_lines(premises: Premises) -> list[str]:
    try:
        return premises.pid_file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _listening_port(premises: Premises) -> int | None:
    """The port in postmaster.pid: it is there once the server listens."""
    lines = _pid_lines(premises)
    return int(lines[3]) if len(lines) > 5 and lines[3].isdigit() else None


def _server_pid(premises: Premises) -> int | None:
    """The server's process id, None if postmaster.pid is stale or missing.

    After a crash the id may have become another program's, so its command is looked at.
    """
    lines = _pid_lines(premises)
    if not lines or not re.fullmatch(r"-?\d+", lines[0]):
        return None
    pid = abs(int(lines[0]))
    shown = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607  # found on the PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return pid if str(premises.data) in shown.stdout else None


def _stop_orphan(premises: Premises) -> None:
    """Stops a server whose owner is gone, and removes a stale postmaster.pid."""
    for ask, patience in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        pid = _server_pid(premises)
        if pid is None:
            break
        log.warning("a database server without an owner (pid %d) is stopped", pid)
        os.kill(pid, ask)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and _server_pid(premises) == pid:
            time.sleep(_POLL * 5)
    premises.pid_file.unlink(missing_ok=True)


def _free_port(premises: Premises) -> int:
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


def _turn_log(premises: Premises) -> None:
    """Keeps the server's log and the one before it."""
    path = premises.log_file
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name("log.1"))
    path.touch()
    premises.servant.hand_over(path, 0o600)


def _log_end(premises: Premises) -> str:
    text = premises.log_file.read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.splitlines()[-10:])

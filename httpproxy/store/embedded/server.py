"""A Postgres of our own, where the operator gives none.

    binaries   which Postgres
    premises   where it lives and as whom it runs
    cluster    its files
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
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg

from httpproxy.store.embedded import cluster
from httpproxy.store.embedded.binaries import Binaries, find_binaries
from httpproxy.store.embedded.premises import Premises, existing, settle, within_reach
from httpproxy.store.errors import EmbeddedError

log = logging.getLogger(__name__)

START_SECONDS: Final = 60.0  # recovery after a crash is part of a start
STOP_SECONDS: Final = 15.0  # leash.sh gives 10 to the polite way
_POLL: Final = 0.02
_LOCK_FILE: Final = "postgres.lock"

# Durable as Postgres is by default; only what a small machine or our use asks for.
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
    # What fails for a statement is told to whoever sent it. The log would quote values
    # of records; it keeps what happens to the server.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}


def running_dsn(data_dir: Path) -> str | None:
    """The DSN of the server that runs on this data folder, None if none does."""
    premises = existing(data_dir)
    if premises is None or not premises.password_file.exists():
        return None
    port = cluster.listening_port(premises)
    if port is None:
        return None
    dsn = cluster.dsn(premises, port)
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
        return None if self._premises is None else cluster.server_pid(self._premises)

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
            self.dsn = self._own() if self._take_lock() else self._join()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"the embedded database cannot be started: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def inherit(self) -> bool:
        """Becomes the owner if the one before is gone, and starts the server again.

        False, at once, while somebody else owns it. Raises EmbeddedError.
        """
        if not self.owned and self._take_lock():
            try:
                self.dsn = self._own()
            except OSError as error:
                self.stop()
                raise EmbeddedError(f"the embedded database is gone: {error}") from error
        return self.owned

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

    def _join(self) -> str:
        """The DSN of the server that another process owns, as soon as it answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = running_dsn(self._data_dir)
            if found is not None:
                return found
            if self._take_lock():  # it ended meanwhile
                return self._own()
            time.sleep(_POLL)
        raise EmbeddedError(
            f"another process holds {self._data_dir}, and its database does not answer"
        )

    def _own(self) -> str:
        premises = self._premises = settle(self._data_dir)
        premises.servant.hand_over(self._data_dir / _LOCK_FILE, 0o600)
        binaries = within_reach(premises.servant, find_binaries(self._bin_dir, premises.major))
        cluster.stop_orphan(premises)
        if premises.major is None:
            cluster.make_cluster(premises, binaries)
        for _ in range(3):  # somebody may take the port between our look and the start
            port = cluster.free_port(premises)
            self._spawn(premises, binaries, port)
            if self._wait_until_ready(premises, port):
                break
        else:
            raise EmbeddedError(
                f"Postgres does not start; the end of {premises.log_file}:\n"
                + cluster.log_end(premises)
            )
        cluster.make_database(premises, port)
        return cluster.dsn(premises, port)

    def _spawn(self, premises: Premises, binaries: Binaries, port: int) -> None:
        cluster.turn_log(premises)
        settings = {**self._settings, "port": str(port)}
        arguments = [f"{binaries.folder / 'postgres'}", "-D", f"{premises.data}"]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        reading, self._leash = os.pipe()
        script = files(__package__).joinpath("leash.sh").read_text(encoding="utf-8")
        try:
            with premises.log_file.open("ab") as server_log:
                self._process = subprocess.Popen(  # noqa: S603  # our own script
                    ["/bin/sh", "-c", script, "leash.sh", *arguments],
                    stdin=reading,
                    stdout=server_log,
                    stderr=server_log,
                    cwd=premises.folder if not premises.servant.switched else "/",
                    env=cluster.environment(),
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
            if cluster.listening_port(premises) == port:
                try:
                    psycopg.connect(
                        cluster.dsn(premises, port, "postgres"), connect_timeout=5
                    ).close()
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
            log.warning("the embedded database does not stop: killed")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._premises is not None and process.returncode < 0:
            cluster.stop_orphan(self._premises)  # the leash itself was killed

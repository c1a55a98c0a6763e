"""Programs in a folder of the test's own, and a sandbox that they all may call."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from neighbours.logwatch import WATCH
from programs import Ended, Programs

from httpproxy.cli import root
from providers.catalog import PROVIDERS


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Programs that reach nothing but this machine."""
    return Programs(tmp_path)


@pytest.fixture(scope="module")
def sandbox_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a sandbox listens that was started by the command line."""
    at_home = Programs(tmp_path_factory.mktemp("sandbox"))
    with at_home.started("sandbox", "--memory", "--sandbox-port", "0") as running:
        yield running.wait_for(r"sandbox on (http://\S+),")[1]


@pytest.fixture
def sandboxed(tmp_path: Path, sandbox_origin: str) -> Programs:
    """Programs whose API calls go to the sandbox."""
    hosts = [host for provider in PROVIDERS.values() for host in provider.hosts]
    upstreams = json.dumps(dict.fromkeys(hosts, sandbox_origin))
    return Programs(tmp_path, {"HTTPPROXY_UPSTREAMS": upstreams})


@pytest.fixture
def told(
    database_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., Ended]]:
    """Runs a command in this process, on a database of the test's own: as a program, but
    without the second that starting one takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_dsn)

    def tell(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            root.main(arguments)
        said = capsys.readouterr()
        WATCH.look(said.err, "standard error")
        return Ended(int(ended.value.code or 0), said.out, said.err)

    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield tell
    logger.handlers[:] = handlers  # a program's own go to an output that is closed now
    logger.setLevel(level)

"""Programs in a folder of the test's own, and a sandbox that they all may call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Programs

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

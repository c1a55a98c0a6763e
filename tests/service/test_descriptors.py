"""Clients get the file descriptors that the database and the APIs do not need."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import logging, resource, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
soft, hard, clients = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from httpproxy.gateway.descriptors import room_for
print(room_for(clients, 100), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""

FEW = "at most {} clients at once: the system allows {} open files (ulimit -n)"


@pytest.mark.parametrize(
    ("soft", "hard", "clients", "said"),
    [
        (256, 1024, 200, ["200 556"]),  # raised as far as is needed
        (1024, 1024, 200, ["200 1024"]),  # enough already
        (256, 512, 200, [FEW.format(156, 512), "156 512"]),
        (256, 300, 200, [FEW.format(1, 300), "1 300"]),
    ],
    ids=["raised", "enough", "less than wanted", "next to none"],
)
def test_the_soft_limit_is_raised_and_what_is_left_is_for_clients(
    soft: int, hard: int, clients: int, said: list[str]
) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 1024
    numbers = (str(soft), str(hard), str(clients))
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, *numbers], capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == said

"""Where a request's time goes: the gateway under load, sampled by py-spy.

    pip install py-spy
    python -m tests.benchmarks.profile read|create [--lines N]

Prints the functions in which most of the CPU time is spent themselves, in microseconds
per request. Time inside C code counts for the Python function that called it; a send
on a socket for the writer that asked for it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Final

from httpproxy.store.embedded.server import EmbeddedPostgres
from tests.benchmarks import gateway, record
from tests.benchmarks.__main__ import make_sync
from tests.benchmarks.processes import ROOT, Failed, Run
from tests.benchmarks.rounds import Contestant, Load

FOLDER: Final = ROOT / "build" / "profile"
SECONDS: Final = 10
CALLS: Final = {
    "read": record.read_call,
    "listing": record.listing_call,
    "create": record.create_call,
}
_FRAME: Final = re.compile(r"(?P<name>.+) \((?P<file>[^()]*?)(?::\d+)?\)")


def _sampler() -> str:
    beside = Path(sysconfig.get_path("scripts"), "py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise Failed("py-spy is not installed: pip install py-spy")
    return found


def sample(call: str) -> tuple[Counter[str], float]:
    """Samples by function, and microseconds of CPU per request."""
    samples = FOLDER / "samples.txt"
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    server = EmbeddedPostgres(FOLDER)
    server.start()
    try:
        with Run(FOLDER) as run:
            stub = run.child("tests.benchmarks.stub")
            prefix, _ = make_sync(server.dsn)
            process = gateway.serve(run, server.dsn, stub.port)
            load = Load(run.child("tests.benchmarks.load"))
            one = Contestant(call, process, (CALLS[call](prefix),))
            load.per_core_second(one, 2.0)
            how = ["record", "--rate", "1000", "--duration", str(SECONDS), "--format", "raw"]
            command = [_sampler(), *how, "--output", str(samples), "--pid", str(process.pid)]
            quiet = subprocess.DEVNULL
            sampling = subprocess.Popen(command, stdout=quiet, stderr=quiet)
            each = 1e6 / load.per_core_second(one, SECONDS + 1.0)
            sampling.wait(30)
    finally:
        server.stop()
    return _own_time(samples.read_text()), each


def _own_time(samples: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, times = line.rpartition(" ")
        frame = _FRAME.fullmatch(stack.rpartition(";")[2])
        if frame:
            found[f"{frame['name']} ({frame['file']})"] += int(times)
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile")
    parser.add_argument("call", choices=CALLS)
    parser.add_argument("--lines", type=int, default=10)
    arguments = parser.parse_args()
    samples, each = sample(arguments.call)
    total = samples.total()
    print(f"{arguments.call}: {each:.0f} us of CPU per request")
    for name, times in samples.most_common(arguments.lines):
        print(f"{times / total * each:7.1f} us  {100 * times / total:4.1f} %  {name}")


if __name__ == "__main__":
    main()

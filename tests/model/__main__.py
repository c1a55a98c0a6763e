"""Plays the model for long: `make model`, or python -m tests.model SCHEDULES.

Prints what was played; ends with 1 and the schedule at the first violation.
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from httpproxy.store.embedded.server import EmbeddedPostgres
from tests.model.interval_machine import play
from tests.model.verdicts import Violation

LANES = 288
_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def main(schedules: int) -> int:
    """Plays at least so many schedules, on a Postgres of its own."""
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-model-"))
    folder.chmod(0o755)  # the server's user must be able to reach it under root
    began = time.monotonic()
    try:
        with EmbeddedPostgres(folder, settings=_QUICK) as server:
            # In hypothesis' first examples nothing happens, and some it plays twice.
            tally = play(server.dsn, LANES, math.ceil(1.05 * schedules / LANES) + 2)
    except Violation as violation:
        print(violation)
        return 1
    finally:
        shutil.rmtree(folder)
    assert len(tally.distinct) >= schedules, tally
    print(f"{tally}; no violation, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))

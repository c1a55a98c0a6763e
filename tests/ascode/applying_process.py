"""A file that is applied by processes each of which is killed once it has changed something,
run as a program, until one comes to its end.

    python applying_process.py FILE          (its settings and secrets come by stdin, as JSON)

Says what each process plans: a line of JSON, `{"create sync tasks": ["status", …], …}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final

from httpproxy.management.ascode.applying import Applying
from httpproxy.management.ascode.current import read_current
from httpproxy.management.ascode.declared import read
from httpproxy.management.ascode.planning import plan
from httpproxy.management.columns import Columns
from httpproxy.management.credentials.oauth_apps import OAuthApps
from httpproxy.management.credentials.service import Credentials
from httpproxy.management.services import make_services
from httpproxy.management.syncs.service import Syncs
from httpproxy.office import open_office
from httpproxy.settings.reading import Settings

CHANGES: Final[Mapping[type, tuple[str, ...]]] = {
    OAuthApps: ("create", "change", "delete"),
    Credentials: ("create", "change", "delete"),
    Syncs: ("create", "change", "delete"),
    Columns: ("change",),
}
MOST: Final = 20


def killing(change: Callable[..., Any]) -> Callable[..., Any]:
    """The same change, after which the process is killed -9."""

    @wraps(change)
    async def killed(*arguments: Any, **options: Any) -> None:
        await change(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    return killed


async def applied(text: str, settings: Settings, secrets: Mapping[str, str]) -> None:
    """Applies what the text declares, and nothing else is to stay."""
    declared = read(text)
    async with open_office(settings) as office:
        services = make_services(office)
        current = await read_current(services, declared.syncs.__contains__)
        found = plan(declared, secrets, current, prune=True)
        said = {f"{s.action} {s.name}": [c.member for c in s.changes] for s in found.steps}
        print(json.dumps(said), flush=True)
        await Applying(services, declared, secrets, current).apply(found, lambda _: None)


def main(text: str, given: Mapping[str, Any]) -> int:
    """Process after process; 0 once one has not been killed."""
    for _ in range(MOST):
        child = os.fork()
        if child == 0:
            for service, names in CHANGES.items():
                for name in names:
                    setattr(service, name, killing(getattr(service, name)))
            asyncio.run(applied(text, Settings(**given["settings"]), given["secrets"]))
            return 0
        _, status = os.waitpid(child, 0)
        if status != signal.SIGKILL:
            return os.waitstatus_to_exitcode(status)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).read_text(encoding="utf-8"), json.load(sys.stdin)))

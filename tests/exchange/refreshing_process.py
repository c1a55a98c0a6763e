"""One process of several that share a credential, run as a program: takes its token.

    python refreshing_process.py CREDENTIAL LEASE_SECONDS        (its settings come by stdin)

Says the SHA-256 of the token that it got, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from hashlib import sha256

from httpproxy.exchange.tokens.access import Tokens
from httpproxy.exchange.tokens.refreshing import Refresher
from httpproxy.office import open_office
from httpproxy.settings.reading import Settings
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.refreshes import Refreshes


async def main(settings: Settings, credential_id: str, lease_seconds: float) -> None:
    async with open_office(settings) as office:
        parts = Refreshes(office.database, office.vault), Apps(office.database, office.vault)
        holder = f"process {time.monotonic_ns()}"
        refresher = Refresher(*parts, office.client, holder, time.monotonic, lease_seconds)
        token = await Tokens(refresher, time.monotonic).current(credential_id)
        print(sha256(token.encode()).hexdigest(), flush=True)


if __name__ == "__main__":
    chosen = Settings(**json.loads(sys.stdin.readline()))
    asyncio.run(main(chosen, sys.argv[1], float(sys.argv[2])))

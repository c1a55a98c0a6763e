"""The peer that anyone would write first: a reverse proxy as an aiohttp application.

Nothing in it is tuned and little of what a gateway must do is done. Without uvloop,
as `web.run_app` starts it.

    python -m tests.benchmarks.plain_proxy UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import ClientSession, TCPConnector, web  # noqa: TID251  a peer, not the product

from tests.benchmarks.child import announce

_OWN = {
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "upgrade",
    "content-length",
}


def application(upstream: str) -> web.Application:
    """Every request goes to `upstream`, an origin such as "http://127.0.0.1:9000"."""
    session = web.AppKey("session", ClientSession)

    async def opened(app: web.Application):
        connector = TCPConnector(limit=512)
        async with ClientSession(connector=connector, auto_decompress=False) as app[session]:
            yield

    async def forward(request: web.Request) -> web.Response:
        headers = {n: v for n, v in request.headers.items() if n.lower() not in _OWN}
        async with request.app[session].request(
            request.method,
            upstream + request.path_qs,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in _OWN}
            return web.Response(status=answer.status, headers=kept, body=body)

    app = web.Application()
    app.cleanup_ctx.append(opened)
    app.router.add_route("*", "/{rest:.*}", forward)
    return app


async def serve(upstream: str) -> None:
    """Serves on a loopback port of the system's choice until stdin closes."""
    runner = web.AppRunner(application(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await announce(runner.addresses[0][1])
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(f"http://127.0.0.1:{sys.argv[1]}"))

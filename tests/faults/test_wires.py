"""Each weather does to a connection what it says: a fault that does nothing proves nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.wires import Weather, Wire

ANSWER = b"x" * 1000


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    """Answers ten bytes with a thousand."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readexactly(10):
                writer.write(ANSWER)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def got(port: int, patience: float = 60.0) -> tuple[int, str]:
    """How many bytes of an answer came, and how it ended."""
    count, ended = 0, "open"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"0123456789")
        async with asyncio.timeout(patience):
            while count < len(ANSWER):
                piece = await reader.read(5000)
                if not piece:
                    return count, "closed"
                count += len(piece)
    except TimeoutError:
        ended = "silent"
    except OSError:
        return count, "reset"
    writer.transport.abort()
    return count, ended


@pytest.mark.parametrize(
    ("weather", "expected"),
    [
        (Weather.FAIR, {(1000, "open")}),
        (Weather.DELAY, {(1000, "open")}),
        (Weather.BLACKHOLE, {(0, "silent")}),
        (Weather.TRUNCATE, {(600, "reset"), (600, "closed")}),
        (Weather.RESET, {(0, "reset"), (0, "closed")}),
        (Weather.CUT, {(0, "reset")}),
    ],
)
async def test_a_wire_does_what_its_weather_says(
    weather: Weather, expected: set[tuple[int, str]]
) -> None:
    async with server() as port, Wire(port) as wire:
        size = 5 if weather is Weather.RESET else 600
        wire.become(weather, seconds=0.1, size=size)
        began = time.monotonic()
        patience = 0.3 if weather is Weather.BLACKHOLE else 60.0
        assert await got(wire.port, patience) in expected
        if weather is Weather.DELAY:
            assert time.monotonic() - began >= 0.2


async def test_a_trickle_arrives_in_small_pieces_and_is_over_with_the_weather() -> None:
    async with server() as port, Wire(port) as wire:
        wire.become(Weather.TRICKLE)
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"0123456789")
        assert 0 < len(await reader.read(5000)) < 1000
        writer.transport.abort()
        task = asyncio.ensure_future(got(wire.port))
        await asyncio.sleep(0.05)
        wire.become(Weather.FAIR)
        assert await task == (1000, "open")


async def test_a_connection_that_is_cut_is_reset_and_new_ones_pass_when_it_is_mended() -> None:
    async with server() as port, Wire(port) as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"0123456789")
        await reader.readexactly(1000)
        wire.become(Weather.CUT)
        with pytest.raises(ConnectionError):
            assert await reader.readexactly(1)
        wire.become(Weather.FAIR)
        assert await got(wire.port) == (1000, "open")


async def test_what_a_blackhole_held_back_comes_when_it_is_over() -> None:
    async with server() as port, Wire(port) as wire:
        wire.become(Weather.BLACKHOLE)
        task = asyncio.ensure_future(got(wire.port))
        await asyncio.sleep(0.2)
        assert not task.done()
        wire.become(Weather.FAIR)
        assert await task == (1000, "open")

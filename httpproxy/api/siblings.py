"""Workers behind one port, so that whichever is asked answers for all.

Each worker answers two questions on a socket of its own in a folder that they share, and
asks the others there. A line with the question, the answer, the end: what is said stays
on the machine, and a worker that is gone or frozen does not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5  # seconds for a sibling's answer: a probe often has but one
_SUFFIX: Final = ".sock"
LONGEST: Final = 107  # bytes of a socket's path

Answers = Mapping[str, Callable[[], bytes]]


class Siblings:
    """The workers of one service. `name` is this one's; None of a folder: it is alone."""

    def __init__(self, folder: Path | None = None, name: str = "0") -> None:
        self._folder = folder
        self.name = name

    @asynccontextmanager
    async def answering(self, answers: Answers) -> AsyncIterator[None]:
        """Answers the others while the block runs. Raises OSError."""
        if self._folder is None:
            yield
            return

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    question = (await reader.readline()).decode("ascii", "replace").strip()
                if question in answers:
                    writer.write(answers[question]())
                    await writer.drain()
            writer.close()

        path = self._folder / f"{self.name}{_SUFFIX}"
        server = await asyncio.start_unix_server(answer, path)
        made = path.stat().st_ino
        try:
            yield
        finally:
            # A successor of the same name may have put its own there meanwhile.
            with suppress(FileNotFoundError):
                if path.stat().st_ino == made:
                    path.unlink()
            server.close()

    async def ask(self, question: str) -> dict[str, bytes | None]:
        """The other workers' answers by name; None of one that gives none in time."""
        if self._folder is None:
            return {}
        own = f"{self.name}{_SUFFIX}"
        others = sorted(p for p in self._folder.glob(f"*{_SUFFIX}") if p.name != own)
        told = await asyncio.gather(*(_told(path, question) for path in others))
        return {path.stem: answer for path, answer in zip(others, told, strict=True)}


def _told(path: Path, question: str) -> Awaitable[bytes | None]:
    async def told() -> bytes | None:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    writer.write(f"{question}\n".encode())
                    return await reader.read(-1) or None
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.info("worker %s does not answer: %s", path.stem, str(error) or "too late")
            return None

    return told()

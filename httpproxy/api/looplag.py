"""How late the event loop is: what takes it for long keeps every call waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final

BEAT: Final = 0.5  # seconds
BEATS: Final = 30


class LoopLag:
    """Wakes twice a second and notes by how much it was late; `worst` is that of the last
    15 seconds, in seconds."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque([0.0], maxlen=BEATS)

    @property
    def worst(self) -> float:
        return max(self._lags)

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            due = monotonic() + BEAT
            await asyncio.sleep(BEAT)
            self._lags.append(max(0.0, monotonic() - due))

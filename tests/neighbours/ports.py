"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import random
import socket

# Below those that the system gives to connections and to whoever asks for any port, so that
# nobody gets one of these in the moment before the server has it.
_OURS = range(12_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    while True:
        port = random.choice(_OURS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

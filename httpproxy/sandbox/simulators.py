"""The simulators, their switches, and the folder that keeps both.

One file per provider, written whole beside the old one and then moved over it, so
that a process that is killed leaves the last complete state and never half of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

from providers.http import Request, Response
from providers.record import JSON
from providers.sandbox import Sandbox
from providers.spec import Provider

_FORMAT: Final = 1
Switches = Mapping[str, JSON]


class BadSwitch(ValueError):
    """A switch that the provider does not have, or a value that it does not take."""


class BadState(ValueError):
    """A state that the provider's simulator cannot load."""


class Simulators:
    """Every provider's simulator, found by host.

    `folder` None keeps everything in memory. Raises BadState if a file in it cannot be
    read.
    """

    def __init__(self, providers: Iterable[Provider], folder: Path | None = None) -> None:
        self.providers = {provider.name: provider for provider in providers}
        self.by_host = {
            host: p for p in self.providers.values() for host in (*p.hosts, *p.token_hosts)
        }
        self._folder = folder
        self._switches: dict[str, Switches] = {name: {} for name in self.providers}
        self._running = {name: p.sandbox.create() for name, p in self.providers.items()}
        self._saved: dict[str, bytes] = {}
        for name in self.providers if folder else ():
            self._restore(name)

    def handle(self, request: Request, now: float) -> Response:
        """The answer of the API that this host belongs to; the host is known."""
        return self._running[self.by_host[request.host].name].handle(request, now)

    def reset(self) -> None:
        """Back to what a fresh sandbox holds; switches keep their position."""
        for name, provider in self.providers.items():
            self._running[name] = provider.sandbox.create(**self._switches[name])

    def dump(self) -> dict[str, JSON]:
        """The whole state, by provider."""
        return {name: sandbox.dump() for name, sandbox in self._running.items()}

    def load(self, states: Mapping[str, JSON]) -> None:
        """Take over the states that `dump` gave; all or none. Raises BadState."""
        loaded = {name: self._loaded(name, state) for name, state in states.items()}
        self._running.update(loaded)

    def switches(self) -> dict[str, JSON]:
        """Every switch and its position, by provider."""
        return {
            name: {**p.sandbox.switches, **self._switches[name]}
            for name, p in self.providers.items()
        }

    def switch(self, changes: Mapping[str, JSON]) -> None:
        """Set switches, by provider; the state stays. All or none. Raises BadSwitch."""
        positions = {name: self._checked(name, wanted) for name, wanted in changes.items()}
        for name, wanted in positions.items():
            state = self._running[name].dump()
            self._switches[name] = {**self._switches[name], **wanted}
            self._running[name] = self._loaded(name, state)

    def save(self) -> None:
        """Write what has changed since the last time. Raises OSError."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, sandbox in self._running.items():
            kept = {
                "format": _FORMAT,
                "switches": self._switches[name],
                "state": sandbox.dump(),
            }
            content = orjson.dumps(kept)
            if content != self._saved.get(name):
                _write_whole(self._folder / f"{name}.json", content)
                self._saved[name] = content

    def _restore(self, name: str) -> None:
        file = (self._folder or Path()) / f"{name}.json"
        if not file.exists():
            return
        remedy = f"{file} cannot be used ({{}}); remove it to begin with a fresh {name} sandbox"
        content = file.read_bytes()
        try:
            kept = _read(content)
            self._switches[name] = self._checked(name, kept["switches"])
            self._running[name] = self._loaded(name, kept["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadState(remedy.format(error)) from error
        self._saved[name] = content

    def _loaded(self, name: str, state: JSON) -> Sandbox:
        provider = self._known(name)
        sandbox = provider.sandbox.create(**self._switches[name])
        try:
            sandbox.load(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BadState(
                f"{name}: not a state that GET /_sandbox/state gave ({error!r})"
            ) from error
        return sandbox

    def _known(self, name: str) -> Provider:
        provider = self.providers.get(name)
        if provider is None:
            known = ", ".join(self.providers)
            raise BadState(f"{name}: there is no such provider; there are {known}")
        return provider

    def _checked(self, name: str, wanted: JSON) -> dict[str, JSON]:
        if name not in self.providers:
            known = ", ".join(self.providers)
            raise BadSwitch(f"{name}: there is no such provider; there are {known}")
        if not isinstance(wanted, dict):
            raise BadSwitch(f"{name}: must be an object of switches and their positions")
        defaults = self.providers[name].sandbox.switches
        for switch, value in wanted.items():
            if switch not in defaults:
                known = ", ".join(defaults) or "none"
                raise BadSwitch(f"{name}.{switch}: there is no such switch; there are {known}")
            if not _alike(value, defaults[switch]):
                shown = orjson.dumps(defaults[switch]).decode()
                raise BadSwitch(f"{name}.{switch}: must be like its default, which is {shown}")
        return wanted


def _read(content: bytes) -> dict[str, JSON]:
    kept: dict[str, JSON] = orjson.loads(content)
    if kept["format"] != _FORMAT:
        raise BadState("it was written by another version")
    return kept


def _alike(value: JSON, default: JSON) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float)
    return default is None or isinstance(value, type(default))


def _write_whole(file: Path, content: bytes) -> None:
    beside = file.with_suffix(".new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)

"""A pytest plugin that reads every log of the suite, and fails the test in which one of
them tells a secret.

What it reads: every record that is logged in this process, with its traceback and what
`extra` brought; what is written to standard error here; standard error of every process
that a test starts, the log lines on its standard output (what a command prints on
purpose may be a key) and its command line; the files that such processes write to,
Postgres' own log among them; and at the end every log in the folders of the tests.

What it looks for: the marks below, which tests put into tokens, ids, cookies, queries,
bodies, values and passwords; the constants that stand for credentials throughout the
tests; and every random secret that is made in this process: unique ids, API keys, keys of
vaults, passwords of databases. A test plants another one by giving it a mark:
`planted("a cookie")`.
"""

from __future__ import annotations

import asyncio.subprocess
import copy
import logging
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from httpproxy.cli.logs import JsonFormatter
from providers.catalog import PROVIDERS
from providers.hubspot.sandbox.kit import OTHER_TOKEN

_MARK = "pl4nted"
_CONSTANTS = (
    *(provider.sandbox.token for provider in PROVIDERS.values()),
    *(provider.sandbox.grant.tokens.access_token for provider in PROVIDERS.values()),
    *(provider.sandbox.grant.tokens.refresh_token or "" for provider in PROVIDERS.values()),
    *(provider.sandbox.grant.app.client_secret or "" for provider in PROVIDERS.values()),
    OTHER_TOKEN,
    "patX.secret",
    "pat-of-the-sync-itself",
    "a key of tests, never a secret: 0123456789",
)
_PLANTED = re.compile(
    rf"{_MARK}[\w-]*|SECRET(?=[a-z])\w*|hidden-(?:query|body|answer)|"
    # what the sandboxes' token endpoints give
    r"oa[ar]\w{14}\.v1\.\w{10,}|CN[0-9a-f]{46}|" + "|".join(map(re.escape, _CONSTANTS))
)
_RANDOM = re.compile(r"[\w-]{32,}", re.ASCII)
_LENGTHS = (32, 43)  # of what token_urlsafe makes of 24 and of 32 bytes
_LOG_LINE = re.compile(
    r"\d{4}-\d\d-\d\d[ T][\d:,.+Z]+ (?:DEBUG|INFO|WARNING|ERROR|CRITICAL)"
    r"|\{\"time\":|Traceback "
)


def planted(what: str) -> str:
    """A secret that no log may tell; it says what it stood for."""
    return f"{_MARK}-{re.sub('[^a-z]+', '-', what.lower())}-{secrets.token_hex(4)}"


class Watch:
    """What is known to be secret, and where it was seen."""

    def __init__(self) -> None:
        self.random: set[str] = set()
        self.leaks: list[str] = []
        self.files: dict[Path, int] = {}

    def look(self, text: str, where: str) -> None:
        """Notes each line of the text that tells a secret, without it."""
        for line in text.splitlines():
            masked = _PLANTED.sub("<SECRET>", line)
            for word in _RANDOM.findall(line):
                for secret in self._random_in(word):
                    masked = masked.replace(secret, "<SECRET>")
            if masked != line:
                self.leaks.append(f"{where}: {masked.strip()[:500]}")

    def _random_in(self, word: str) -> Iterator[str]:
        for length in _LENGTHS:
            for start in range(len(word) - length + 1):
                if word[start : start + length] in self.random:
                    yield word[start : start + length]

    def look_at_files(self) -> None:
        """Reads on in the files that processes write to."""
        for path, seen in list(self.files.items()):
            try:
                with path.open("rb") as file:
                    file.seek(seen)
                    text = file.read()
            except OSError:
                continue  # its test has removed it
            self.files[path] = seen + len(text)
            self.look(text.decode(errors="replace"), path.name)

    def look_at_logs(self, folder: Path) -> None:
        """Reads whatever is called a log below a folder."""
        for path in [*folder.rglob("*.log"), *folder.rglob("log")]:
            if path.is_file() and path not in self.files:
                self.look(path.read_text(errors="replace"), path.name)


WATCH = Watch()


_CLIENTS = ("urllib3",)  # those of the tests, which the product does not have
_FORM = JsonFormatter()  # as the product would write it
_call_handlers = logging.Logger.callHandlers


def _overhear(logger: logging.Logger, record: logging.LogRecord) -> None:
    """In place of `Logger.callHandlers`: a handler could be taken off by a test."""
    if not record.name.startswith(_CLIENTS):
        spare = copy.copy(record)  # formatting one leaves traces in it
        WATCH.look(_FORM.format(spare), "log")
    _call_handlers(logger, record)


class Stream:
    """What a process writes, piece by piece. Of standard output only log lines count."""

    def __init__(self, where: str, *, all_of_it: bool) -> None:
        self._where, self._all, self._rest, self._in_log = where, all_of_it, "", False

    def hear(self, said: str | bytes | None, *, last: bool = False) -> None:
        """Takes in some text, in whole lines as far as they have come."""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said or ""
        whole, newline, self._rest = (self._rest + text).rpartition("\n")
        if last:
            whole, self._rest = whole + newline + self._rest, ""
        for line in whole.splitlines():
            self._in_log = bool(_LOG_LINE.match(line)) or (
                self._in_log and line.startswith((" ", "Traceback"))
            )
            if self._all or self._in_log:
                WATCH.look(line, self._where)


class _Ear:
    """The reading end of a process's pipe; what is read from it is heard."""

    def __init__(self, pipe: Any, stream: Stream) -> None:
        self._pipe, self._stream = pipe, stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        for line in self._pipe:
            self._stream.hear(line)
            yield line

    def read(self, *size: int) -> Any:
        said = self._pipe.read(*size)
        self._stream.hear(said, last=not size)
        return said

    def readline(self, *size: int) -> Any:
        said = self._pipe.readline(*size)
        self._stream.hear(said)
        return said

    def readlines(self) -> list[Any]:
        return list(self)


_Popen = subprocess.Popen


class _WatchedPopen(_Popen):  # type: ignore[type-arg]
    """Every process that is started in the suite."""

    def __init__(self, args: Any, *more: Any, **options: Any) -> None:
        super().__init__(args, *more, **options)
        line = args if isinstance(args, str) else " ".join(map(os.fsdecode, args))
        WATCH.look(line, "command line, which everybody on the machine can read")
        where = f"process {line[:60]!r}"
        self._heard = (Stream(where, all_of_it=False), Stream(where, all_of_it=True))
        if self.stdout is not None:
            self.stdout = _Ear(self.stdout, self._heard[0])  # type: ignore[assignment]
        if self.stderr is not None:
            self.stderr = _Ear(self.stderr, self._heard[1])  # type: ignore[assignment]
        for name in ("stdout", "stderr"):
            written = getattr(options.get(name), "name", None)
            if isinstance(written, str | Path) and Path(written).is_file():
                WATCH.files.setdefault(Path(written), 0)

    def communicate(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        out, err = super().communicate(*arguments, **options)
        for stream, said in zip(self._heard, (out, err), strict=True):
            stream.hear(said, last=True)
        return out, err


def _watch_asyncio() -> None:
    protocol = asyncio.subprocess.SubprocessStreamProtocol
    received, lost = protocol.pipe_data_received, protocol.pipe_connection_lost
    streams: dict[tuple[int, int], Stream] = {}

    def hear(self: Any, fd: int, data: bytes) -> None:
        stream = streams.setdefault((id(self), fd), Stream("process", all_of_it=fd == 2))
        stream.hear(data)
        received(self, fd, data)

    def ended(self: Any, fd: int, error: Exception | None) -> None:
        stream = streams.pop((id(self), fd), None)
        if stream is not None:
            stream.hear("", last=True)
        lost(self, fd, error)

    protocol.pipe_data_received = hear  # type: ignore[method-assign]
    protocol.pipe_connection_lost = ended  # type: ignore[method-assign]


def _noted(make: Callable[..., str]) -> Callable[..., str]:
    def made(size: int | None = None) -> str:
        text = make(size)
        if len(text) in _LENGTHS:
            WATCH.random.add(text)
        return text

    return made


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported that could keep the functions as they were."""
    secrets.token_urlsafe = _noted(secrets.token_urlsafe)
    subprocess.Popen = _WatchedPopen  # type: ignore[misc]
    _watch_asyncio()
    logging.Logger.callHandlers = _overhear  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, Any, Any]:
    """After the last test, all logs are looked at."""
    ended = yield
    if nextitem is None:
        folders: Any = getattr(item.config, "_tmp_path_factory", None)
        if folders is not None:
            WATCH.look_at_logs(folders.getbasetemp())
    return ended


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fails the test in which a log told a secret."""
    report = yield
    if report.when == "teardown":
        WATCH.look(report.capstderr, "standard error")
        WATCH.look_at_files()
        lines = list(dict.fromkeys(WATCH.leaks))
        WATCH.leaks.clear()
        if lines:
            report.outcome = "failed"
            report.longrepr = "\n".join(("secrets in logs:", *lines[:20]))
    return report

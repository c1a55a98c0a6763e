"""Says how a discovery advances: that of a large account takes a minute of calls."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Final

import click

from httpproxy.cli.overhearing import overheard
from providers.http import Response
from providers.record import Collection
from providers.spec import Conversation, Provider

_LINE_EVERY: Final = 100


def narrated(provider: Provider) -> Provider:
    """The same provider; its discoveries tell on standard error how far they are.

    On a terminal in one line that is written over, else a line every hundred answers.
    """
    telling = _Telling(provider.title, over=sys.stderr.isatty())

    def discover(
        account: str, wanted: tuple[str, ...] | None
    ) -> Conversation[tuple[Collection, ...]]:
        telling.begin()
        try:
            found = yield from overheard(provider.discover(account, wanted), telling.note)
        except Exception:
            telling.end("no answer to go by")
            raise
        telling.end(f"{len(found)} collection{'' if len(found) == 1 else 's'}")
        return found

    return replace(provider, discover=discover)


class _Telling:
    def __init__(self, title: str, *, over: bool) -> None:
        self._asking = f"asking {title} which collections there are …"
        self._over = over
        self._answers = 0

    def begin(self) -> None:
        click.echo(self._asking, err=True, nl=not self._over)

    def note(self, _: Response) -> None:
        self._answers += 1
        if self._over:
            click.echo(f"\r{self._asking} {self._answers}", err=True, nl=False)
        elif self._answers % _LINE_EVERY == 0:
            click.echo(f"{self._asking} {self._answers}", err=True)

    def end(self, found: str) -> None:
        said = f"{found}, in {self._answers} answer{'' if self._answers == 1 else 's'}"
        click.echo(f"\r{self._asking} {said}" if self._over else said, err=True)

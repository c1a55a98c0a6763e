"""Secrets are read from the environment, a hidden prompt or standard input.

Never from an argument: arguments are seen by everybody on the machine and stay in shell
histories.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from httpproxy.cli.failures import USAGE, Failure
from httpproxy.settings.reading import environment


@dataclass(frozen=True, slots=True)
class Asked:
    """A secret: the variable that may hold it, what a prompt calls it, where one gets it."""

    variable: str
    title: str
    help: str
    required: bool = True


def read_secrets(wanted: Sequence[Asked]) -> list[str | None]:
    """The secrets in their order, None for one that is not required and not given.

    A terminal is asked for those that the environment lacks. Without one, standard input is
    read if a required one is missing: a line for each. Raises Failure.
    """
    there = environment()
    found = [there.get(each.variable, "").strip() for each in wanted]
    missing = [n for n, text in enumerate(found) if not text]
    if any(wanted[n].required for n in missing):
        for n, text in zip(missing, _given([wanted[n] for n in missing]), strict=False):
            found[n] = text.strip()
    for each, text in zip(wanted, found, strict=True):
        if each.required and not text:
            raise Failure(
                f"no {each.title}: set {each.variable}, or give it on standard input."
                f" {each.help}",
                USAGE,
            )
    return [text or None for text in found]


def _given(wanted: Sequence[Asked]) -> list[str]:
    if not sys.stdin.isatty():
        return sys.stdin.read().splitlines()
    return [
        click.prompt(
            each.title if each.required else f"{each.title} (none: just Enter)",
            hide_input=True,
            err=True,
            default=None if each.required else "",
            show_default=False,
        )
        for each in wanted
    ]

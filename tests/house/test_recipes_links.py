"""The pages lead somewhere, and speak only of what there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pages import PAGES, anchors, codes, links, prose, shell_lines
from source import ROOT, named

from httpproxy.cli import root
from httpproxy.settings.reading import Settings

# Variables that are no settings, and other programs' options that pages speak of.
MORE_VARIABLES = {
    "HTTPPROXY_TOKEN",
    "HTTPPROXY_REFRESH_TOKEN",
    "HTTPPROXY_CLIENT_SECRET",
    "HTTPPROXY_CONFIG",
    "HTTPPROXY_",
}
OTHERS = {"--group"}


def _commands(
    command: click.Command = root.command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


COMMANDS = dict(_commands())


def _options(path: tuple[str, ...]) -> dict[str, bool]:
    """The options of a command, and whether each takes a value."""
    own = [p for p in COMMANDS[path].params if isinstance(p, click.Option)]
    told = {spelling: not option.is_flag for option in own for spelling in option.opts}
    return {"--help": False, "-h": False, **told}


def _spoken(page: Path) -> Iterator[str]:
    """Every shell line and every piece of code in a sentence."""
    yield from shell_lines(page)
    yield from codes(prose(page))


def _calls(line: str) -> Iterator[list[str]]:
    """The words after each `httpproxy` that a line runs."""
    for part in re.split(r"\$\(|\)|&&|\|", line):
        command = part.partition("<")[0]
        # A quote may be open from another part, or line; then nothing needs unquoting.
        is_open = any(command.count(quote) % 2 for quote in "\"'")
        words = command.split() if is_open else shlex.split(command)
        while words and "=" in words[0]:
            del words[0]
        if words and words[0].rsplit("/", 1)[-1] == "httpproxy":
            yield words[1:]


def _misuse(words: list[str]) -> str | None:
    """What is wrong with the words after `httpproxy`, None if they can be typed."""
    path: tuple[str, ...] = ()
    left = iter(words)
    for word in left:
        called = " ".join(["httpproxy", *path])
        if word.startswith("-"):
            option, valued, _ = word.partition("=")
            if option not in _options(path):
                return f"`{called}` has no option {option}"
            if _options(path)[option] and not valued:
                next(left, None)
        elif (*path, word) in COMMANDS:
            path = (*path, word)
        elif isinstance(COMMANDS[path], click.Group) and not word.isupper():
            return f"`{called}` has no command {word}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_between_pages_leads_to_a_heading_that_is_there(page: Path):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{named(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{named(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pages_name_only_commands_and_options_that_the_program_has(page: Path):
    wrong = [w for line in _spoken(page) for words in _calls(line) if (w := _misuse(words))]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_an_option_named_alone_is_one_of_some_command(page: Path):
    known = {option for path in COMMANDS for option in _options(path)} | OTHERS
    alone = {c.split()[0].partition("=")[0] for c in codes(prose(page)) if c.startswith("--")}
    assert alone <= known


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_variables_and_make_targets_are_there(page: Path):
    text = page.read_text(encoding="utf-8")
    settings = {f"HTTPPROXY_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"HTTPPROXY_[A-Z_]*", text)) <= settings | MORE_VARIABLES
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in _spoken(page):
        if re.match(r"make [a-z]", line):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE), line


def test_a_command_or_option_that_is_not_there_is_found_out():
    assert _misuse(["sync", "make"]) == "`httpproxy sync` has no command make"
    assert _misuse(["serve", "--port", "1"]) == "`httpproxy serve` has no option --port"
    assert _misuse(["sync", "create", "airtable", "--base", "appX"]) is None
    assert _misuse(["--data-dir", "here", "db", "query", "select 1"]) is None
    pasted = 'X=1 .venv/bin/httpproxy demo && psql "$(httpproxy db url)"'
    assert list(_calls(pasted)) == [["demo"], ["db", "url"]]


def test_the_pages_tell_of_every_command():
    told = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for path, command in COMMANDS.items():
        if path and not isinstance(command, click.Group):
            assert f"httpproxy {' '.join(path[:2])}" in told, path

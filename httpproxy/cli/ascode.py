"""`httpproxy apply` and `export`: credentials, OAuth apps and syncs as a file."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final

import click
import orjson
from pydantic import JsonValue

from httpproxy.cli.failures import USAGE, Failure, explained
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import work
from httpproxy.cli.output import as_json, json_option
from httpproxy.management.ascode.applying import Applying
from httpproxy.management.ascode.current import read_current
from httpproxy.management.ascode.declared import Misdeclared, read
from httpproxy.management.ascode.drafting import Change, Plan, Step
from httpproxy.management.ascode.exporting import exported
from httpproxy.management.ascode.planning import plan
from httpproxy.management.models import Wrong
from httpproxy.management.services import Services
from httpproxy.settings.reading import environment
from httpproxy.store.errors import NameTaken

_SIGNS: Final = {"create": "+", "change": "~", "delete": "-"}
_KINDS: Final = {"oauth_apps": "OAuth app", "credentials": "credential", "syncs": "sync"}


@click.command(short_help="Make things what a file says they are.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--prune", is_flag=True, help="Delete what the file does not name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def apply(invocation: Invocation, /, file: Path, *, wants_json: bool, **flags: bool) -> None:
    """Make credentials, OAuth apps and syncs what FILE says they are to be.

    What is to be done is shown first. Nothing is deleted without --prune, and the tables of
    a sync that is deleted stay. Secrets are read from where the file refers to.

    \b
    Examples
      httpproxy apply syncs.toml --dry-run
      httpproxy apply syncs.toml --yes
    """
    try:
        declared = read(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Failure(f"{file}: it is no UTF-8", USAGE) from error
    except Misdeclared as error:
        raise _misdeclared(file, error.wrongs) from error
    secrets = {each: _secret(each, file.parent) for each in declared.references()}

    async def applied(services: Services) -> None:
        current = await read_current(services, declared.syncs.__contains__)
        try:
            found = plan(declared, secrets, current, prune=flags["prune"])
        except Misdeclared as error:
            raise _misdeclared(file, error.wrongs) from error
        _show(found, wants_json=wants_json)
        if flags["dry_run"] or not found.steps:
            return
        if found.missing:
            raise _misdeclared(file, found.missing)
        if not flags["yes"]:
            _ask()
        await _done(Applying(services, declared, secrets, current), found)

    work(invocation.settings(), applied)


@click.command(short_help="Write what there is as a file for `apply`.")
@click.pass_obj
def export(invocation: Invocation) -> None:
    """Write what there is as a file for `httpproxy apply`, on standard output.

    Secrets are not in it: references to variables stand in their places.

    \b
    Examples
      httpproxy export > syncs.toml
    """

    async def written(services: Services) -> str:
        return exported(await read_current(services, lambda _: True))

    click.echo(work(invocation.settings(), written), nl=False)


def _secret(reference: str, folder: Path) -> str | None:
    """What a reference stands for, None if it is not there. Files are looked for beside the
    one that names them."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        return environment().get(name, "").strip() or None
    try:
        return (folder / name).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _misdeclared(file: Path, wrongs: list[Wrong]) -> Failure:
    said = "\n".join(f"  {each.member} {each.detail}".rstrip() for each in wrongs)
    return Failure(f"{file}:\n{said}", USAGE)


def _show(found: Plan, *, wants_json: bool) -> None:
    if wants_json:
        as_json(found.model_dump(mode="json"))
        return
    for step in found.steps:
        click.echo(f"{_SIGNS[step.action]} {_named(step)}")
        for change in step.changes:
            click.echo(f"    {_told(change)}")
    for each in found.missing:
        click.echo(f"! {each.member}: {each.detail}")
    for note in found.notes:
        click.echo(f"  {note}")
    counts = Counter(step.action for step in found.steps)
    click.echo(
        f"{counts['create']} to create, {counts['change']} to change,"
        f" {counts['delete']} to delete; {found.unchanged} as the file says"
    )


def _named(step: Step) -> str:
    return f"{_KINDS[step.section]} {step.name}"


def _told(change: Change) -> str:
    return f"{change.member}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: JsonValue) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _ask() -> None:
    """Raises Failure where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Failure("nobody can be asked here: say --yes, or --dry-run", USAGE)
    click.confirm("Do this?", abort=True, err=True)


async def _done(applying: Applying, found: Plan) -> None:
    """Every step, told when it is done. Raises Failure, which says how far it came."""
    begun: list[Step] = []

    def told(step: Step) -> None:
        if begun:
            click.echo(f"done: {_named(begun[-1])}", err=True)
        begun.append(step)

    try:
        await applying.apply(found, told)
    except Exception as error:
        why = _why(error)
        if why is None or not begun:
            raise
        raise Failure(
            f"{_named(begun[-1])}: {why}\n{len(begun) - 1} of {len(found.steps)} are done;"
            " run this again for the rest.",
            why.code,
        ) from error
    click.echo(f"done: {_named(begun[-1])}", err=True)


def _why(error: Exception) -> Failure | None:
    """In the file's words: no option sets a name here."""
    if isinstance(error, NameTaken):
        return Failure(f"{error.field} {error.value!r} is taken by another one", USAGE)
    return explained(error)

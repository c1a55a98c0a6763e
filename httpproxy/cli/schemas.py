"""`httpproxy schema`: what has changed in an API's schema, and the user's word on it.

Tables follow by themselves wherever nothing can be lost. What could lose a value waits
until somebody has seen it here and accepts it; what is gone upstream is dropped only by
its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from httpproxy.cli.changes import Draft, as_members, as_text
from httpproxy.cli.failures import DIFFERS, USAGE, Failure, no_such_sync
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json
from httpproxy.cli.running import run
from httpproxy.exchange.discovery import Known, discover
from httpproxy.service import Office, open_office
from httpproxy.settings.reading import Settings
from httpproxy.store.layouts.drift import Difference, Place, Stage, What
from httpproxy.store.layouts.evolution import Kept
from httpproxy.store.layouts.layout import Layout
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.record import Collection


@click.group()
def schema() -> None:
    """Follow the API's schema: see what changed, accept it, lock names.

    New, renamed and removed fields and wider types are followed by `httpproxy serve`
    itself; docs/schema.md has the table. These commands work while it runs and while it
    does not.
    """


@schema.command()
@click.argument("name")
@click.option("--json", "wants_json", is_flag=True, help="JSON, for scripts.")
@click.option(
    "--exit-code", is_flag=True, help="End with 4 if anything is to follow or waits, else 0."
)
@click.pass_obj
def diff(invocation: Invocation, name: str, wants_json: bool, exit_code: bool) -> int:
    """Show how the API's schema and the tables of the sync NAME differ.

    Asks the API, changes nothing, and counts what a change of type would cost.

    \b
      +  comes          ~  changes, nothing is lost      !  waits for `schema apply`
      -  gone upstream  =  stays as it is
    """
    settings = invocation.settings()
    draft = run(settings, _draft(settings, name))
    if wants_json:
        as_json(as_members(draft))
    else:
        click.echo("\n".join(as_text(draft)))
    return DIFFERS if exit_code and draft.open else 0


@schema.command()
@click.argument("name")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="TABLE.COLUMN",
    help="Accept the new type of this column only; repeat it for more.",
)
@click.option(
    "--drop",
    "drops",
    multiple=True,
    metavar="TABLE.COLUMN",
    help="Drop this column, whose field is gone upstream, with its values.",
)
@click.option(
    "--add",
    "additions",
    multiple=True,
    metavar="COLLECTION",
    help="Take this collection into the sync, by its name in the API.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def apply(
    invocation: Invocation,
    name: str,
    columns: tuple[str, ...],
    drops: tuple[str, ...],
    additions: tuple[str, ...],
    yes: bool,
) -> None:
    """Bring the tables of the sync NAME to the API's schema, with what waits.

    Without options every type that waits is accepted; with any of them, what it names.
    A value that its new type cannot hold goes to `_extra` of its row: nothing is lost.
    What follows by itself follows at once.

    \b
    Examples
      httpproxy schema apply crm
      httpproxy schema apply crm --column contact.score
      httpproxy schema apply crm --drop contact.old_notes
    """
    settings = invocation.settings()
    wish = _Wish(columns, drops, additions, yes)
    for line in run(settings, _apply(settings, name, wish)):
        click.echo(line)


@schema.command()
@click.argument("name")
@click.argument("place", metavar="TABLE[.COLUMN]")
@click.pass_obj
def lock(invocation: Invocation, name: str, place: str) -> None:
    """Let a column keep its name when its field is renamed, or all of a TABLE's.

    Your queries go on working; the values are the field's, whatever its name.
    """
    settings = invocation.settings()
    run(settings, _lock(settings, name, place, locked=True))
    click.echo(f"{place} keeps its name" + ("" if "." in place else "s"))


@schema.command()
@click.argument("name")
@click.argument("place", metavar="TABLE[.COLUMN]")
@click.pass_obj
def unlock(invocation: Invocation, name: str, place: str) -> None:
    """Let a column, or all of a TABLE's, take the names of their fields again, now."""
    settings = invocation.settings()
    run(settings, _lock(settings, name, place, locked=False))
    click.echo(f"{place} has the names of the API's fields" if "." not in place else
               f"{place} has the name of its field")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wish:
    columns: Sequence[str]
    drops: Sequence[str]
    additions: Sequence[str]
    yes: bool

    @property
    def all(self) -> bool:
        """Whether whatever waits is accepted."""
        return not (self.columns or self.drops or self.additions)


# --- what differs ----------------------------------------------------------------------


async def _sync(office: Office, name: str) -> Sync:
    found = await office.registry.sync(name)
    if found is None:
        raise no_such_sync(name)
    return found


async def _draft(settings: Settings, name: str) -> Draft:
    async with open_office(settings) as office:
        return await _drafted(office, await _sync(office, name), ())


async def _drafted(office: Office, sync: Sync, additions: Sequence[str]) -> Draft:
    """What the API has now, beside what is known. `additions` are new collections."""
    provider, following = PROVIDERS[sync.provider], office.registry.following
    token = await office.registry.secret(sync)

    async def ask(wanted: tuple[str, ...]) -> tuple[Collection, ...]:
        spelled = (*wanted, *additions) if wanted != ("",) else wanted
        return await office.calls.discover(provider, sync.account, token, spelled)

    layouts = await following.layouts(sync.id)
    known = [Known(each.table.collection, each.removed) for each in layouts]
    now = await discover(ask, known, takes_new=sync.covers_all, tells_new=True)
    differences = await following.compare(sync.id, now.found, gone=now.gone)
    return Draft(sync, layouts, now, differences)


# --- apply -------------------------------------------------------------------------------


async def _apply(settings: Settings, name: str, wish: _Wish) -> list[str]:
    async with open_office(settings) as office:
        sync, following = await _sync(office, name), office.registry.following
        draft = await _drafted(office, sync, wish.additions)
        accepted = _accepted(draft, wish)
        drops = [_dropped(draft, text) for text in wish.drops]
        _ask(draft, accepted, drops, wish.yes)
        consent: dict[str, set[str]] = {}
        for each in accepted:
            consent.setdefault(each.place.collection, set()).add(each.place.field or "")
        now = draft.discovered
        followed = await following.follow(sync.id, now.found, gone=now.gone, accepted=consent)
        for place in drops:
            await following.drop_column(sync.id, place.collection, place.field or "")
        if followed.refused:
            told = "; ".join(f"{r.table}.{r.column}: {r.why}" for r in followed.refused)
            raise Failure(f"Postgres refused a part, all else is done: {told}")
        if not followed.changed and not drops:
            return [f"{name}: there is nothing to apply"]
        dropped = [f"dropped {_spelled(place)}" for place in drops]
        return [*_told(accepted), *dropped, f"{name}: the tables have followed"]


def _told(accepted: Iterable[Difference]) -> list[str]:
    return [f"{_spelled(each.place)} is {each.becomes} now" for each in accepted]


def _spelled(place: Place) -> str:
    return f"{place.table}.{place.column}"


def _accepted(draft: Draft, wish: _Wish) -> list[Difference]:
    """The types that are accepted: all that can be, or those that are named."""
    waiting = {_spelled(each.place): each for each in draft.at(Stage.WAITING)}
    if wish.all:
        return [each for each in waiting.values() if not each.dependents]
    for text in wish.columns:
        if text not in waiting:
            names = ", ".join(waiting) or "none"
            raise Failure(f"no type waits in {text!r}; columns that wait: {names}", USAGE)
        if waiting[text].dependents:
            raise Failure(f"{text}: {waiting[text].reason}. Drop the view, apply, make it"
                          " again")  # fmt: skip
    return [waiting[text] for text in dict.fromkeys(wish.columns)]


def _dropped(draft: Draft, text: str) -> Place:
    gone = {
        _spelled(each.place): each.place
        for each in draft.differences
        if each.what is What.FIELD_GONE
    }
    if text not in gone:
        names = ", ".join(gone) or "none"
        raise Failure(
            f"{text!r} is no column whose field is gone upstream; there are: {names}", USAGE
        )
    return gone[text]


def _ask(
    draft: Draft, accepted: Sequence[Difference], drops: Sequence[Place], yes: bool
) -> None:
    """Shows what is about to be done and asks, unless nothing can be lost."""
    if yes or not (accepted or drops):
        return
    if not sys.stdin.isatty():
        raise Failure("nobody is there to be asked: add --yes to apply", USAGE)
    click.echo("\n".join(as_text(draft)))
    parts = [f"change {_spelled(each.place)} to {each.becomes}" for each in accepted]
    parts += [f"drop {_spelled(place)} with its values" for place in drops]
    click.confirm(f"\n{'; '.join(parts)}?", abort=True)


# --- locks ---------------------------------------------------------------------------------


async def _lock(settings: Settings, name: str, text: str, *, locked: bool) -> None:
    async with open_office(settings) as office:
        sync, following = await _sync(office, name), office.registry.following
        table, dot, column = text.partition(".")
        layout = _table(await following.layouts(sync.id), table)
        field = _column(layout, column).field.id if dot else None
        if field is not None and not locked and layout.locked:
            raise Failure(
                f"all names of {table} are locked: `httpproxy schema unlock {name} {table}`"
            )
        collection = layout.table.collection.id
        await following.lock(sync.id, collection, field, locked=locked)


def _table(layouts: Iterable[Layout], name: str) -> Layout:
    tables = {each.table.name: each for each in layouts}
    if name not in tables:
        raise Failure(f"there is no table {name!r}; there are: {', '.join(tables)}", USAGE)
    return tables[name]


def _column(layout: Layout, name: str) -> Kept:
    columns = {kept.column: kept for kept in layout.kept if kept.column}
    if name not in columns:
        table, names = layout.table.name, ", ".join(columns)
        raise Failure(f"{table} has no column {name!r}; there are: {names}", USAGE)
    return columns[name]

"""`httpproxy schema apply`: what waits is accepted, what is gone is dropped by its name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.schema.differences import as_text
from httpproxy.cli.schema.draft import Draft, drafted
from httpproxy.settings.reading import Settings
from httpproxy.store.layouts.drift import Difference, Place, Stage, What


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user accepts: columns, drops and additions as TABLE.COLUMN or names."""

    columns: Sequence[str]
    drops: Sequence[str]
    additions: Sequence[str]
    yes: bool

    @property
    def all(self) -> bool:
        """Whether whatever waits is accepted."""
        return not (self.columns or self.drops or self.additions)


async def apply(settings: Settings, name: str, wish: Wish) -> list[str]:
    """Brings the tables to the API's schema. Returns what there is to say. Raises Failure."""
    async with open_desk(settings) as desk:
        sync, following = await desk.sync(name), desk.registry.following
        draft = await drafted(desk, sync, wish.additions)
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


def _accepted(draft: Draft, wish: Wish) -> list[Difference]:
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

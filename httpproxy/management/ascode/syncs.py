"""A declared sync beside the one that there is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from httpproxy.management.ascode.current import StoredSync
from httpproxy.management.ascode.declared import DeclaredSync
from httpproxy.management.columns import ColumnDocument, ColumnPatch
from httpproxy.management.models import RateLimit
from httpproxy.management.naming import public_id_of, spelling_of
from httpproxy.management.problems import Declined
from httpproxy.management.syncs.documents import SyncDocument
from httpproxy.management.syncs.making import budgets
from providers.catalog import PROVIDERS
from providers.record import Collection, Schema
from providers.spec import Provider


class ColumnStep(NamedTuple):
    """A column that is to be another one: `before` and `after` by the members that differ."""

    collection_id: str
    field: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def fixed_of(declared: DeclaredSync, stored: SyncDocument) -> dict[str, str]:
    """What a sync was made with, where the file says something else."""
    wanted = {
        "provider": declared.provider,
        "account": declared.account,
        "schema": declared.schema_,
    }
    has = {"provider": stored.provider, "account": stored.account, "schema": stored.schema_}
    return {name: has[name] for name, each in wanted.items() if each not in (None, has[name])}


def differences_of(
    declared: DeclaredSync, stored: StoredSync | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What can be set of a sync, as it is and as it is to be, but for its credential.

    Raises Declined for budgets, collections and columns that there cannot be.
    """
    provider = PROVIDERS[declared.provider]
    limits = rate_limits_of(declared)
    budgets(provider, limits)
    after: dict[str, Any] = {
        "status": declared.status,
        "external_id": declared.external_id,
        "metadata": declared.metadata,
        "rate_limits": {name: each.model_dump() for name, each in limits.items()},
        "collection_ids": _wanted(provider, declared, stored),
    }
    if stored is None:
        return {}, after
    before: dict[str, Any] = {
        "status": stored.document.status,
        "external_id": stored.document.external_id,
        "metadata": stored.document.metadata,
        "rate_limits": set_limits(stored.document),
        "collection_ids": collection_ids_of(stored),
    }
    arrive = _arrive(before["collection_ids"], after["collection_ids"])
    for step in column_steps(declared, stored, arrive=arrive):
        for member, value in step.after.items():
            place = f"columns.{step.collection_id}.{step.field}.{member}"
            before[place], after[place] = step.before[member], value
    return before, after


def rate_limits_of(declared: DeclaredSync) -> dict[str, RateLimit]:
    """The rate limits by budget. Raises Declined if one is given twice."""
    limits = dict(declared.rate_limits)
    if declared.rate_limit is not None:
        main = PROVIDERS[declared.provider].default_rates[0].name
        if main in limits:
            detail = f"rate_limit and rate_limits.{main} are the same thing: give one of them."
            raise Declined("bad_body", detail, "rate_limit")
        limits[main] = declared.rate_limit
    return limits


def set_limits(document: SyncDocument) -> dict[str, Any]:
    """The rate limits that were set of a sync, without the defaults."""
    return {
        name: each.model_dump(exclude={"source"})
        for name, each in document.rate_limits.items()
        if each.source == "set"
    }


def collection_ids_of(stored: StoredSync) -> list[str] | None:
    """The public ids of a sync's collections, but for those that follow from the others;
    None: all that there are."""
    if stored.document.covers_all:
        return None
    provider = PROVIDERS[stored.document.provider]
    following = {public_id_of(provider, each) for each in stored.collections if _follows(each)}
    return sorted(id_ for id_ in stored.document.collection_ids if id_ not in following)


def _wanted(
    provider: Provider, declared: DeclaredSync, stored: StoredSync | None
) -> list[str] | None:
    """The declared collections by their public ids, as far as those are known here."""
    if declared.collection_ids is None:
        return None
    there = stored.collections if stored else ()
    found: set[str] = set()
    for number, text in enumerate(declared.collection_ids):
        spelling = spelling_of(provider, text, f"collection_ids[{number}]")
        known = _spelled(provider, there, spelling)
        if known is None:
            found.add(f"{provider.name}:{spelling}")
        elif not _follows(known):
            found.add(public_id_of(provider, known))
    return sorted(found)


def _spelled(
    provider: Provider, there: tuple[Collection, ...], spelling: str
) -> Collection | None:
    handles = {provider.handle(each.id, each.name): each for each in there}
    return handles.get(spelling) or Schema(there).find(spelling)


def _follows(collection: Collection) -> bool:
    """Whether it is there because others are: pairs, which two keys tell apart."""
    return len(collection.key) > 1


def _arrive(before: list[str] | None, after: list[str] | None) -> bool:
    """Whether the sync gets collections that it does not have, as far as that is known."""
    if before is None:
        return False
    return after is None or not set(after) <= set(before)


def column_steps(
    declared: DeclaredSync, stored: StoredSync, *, arrive: bool = False
) -> list[ColumnStep]:
    """The columns that are named and are to be other ones; with `arrive`, those of collections
    that the sync does not have yet among them. Raises Declined for one that there is not."""
    provider = PROVIDERS[declared.provider]
    found: list[ColumnStep] = []
    for collection, fields in declared.columns.items():
        spelling = spelling_of(provider, collection, f"columns.{collection}")
        known = _spelled(provider, stored.collections, spelling)
        if known is None and arrive:
            comes = f"{provider.name}:{spelling}"
            for name, wish in fields.items():
                found += _new(comes, name, wish)
            continue
        there = public_id_of(provider, known) if known else ""
        columns = [each for each in stored.columns if each.collection_id == there]
        for name, wish in fields.items():
            column = _named(columns, name)
            if column is None:
                detail = f"there is no field {name[:80]!r} in {collection[:80]!r} of the sync."
                raise Declined("unknown_column", detail, f"columns.{collection}.{name}")
            found += _step(column, wish)
    return found


def _named(columns: list[ColumnDocument], name: str) -> ColumnDocument | None:
    """The column of the field with this id, or else this name, or with this name itself."""
    for spelling in ("field_id", "field_name", "name"):
        for each in columns:
            if getattr(each, spelling) == name:
                return each
    return None


def _new(collection: str, name: str, wish: ColumnPatch) -> Iterator[ColumnStep]:
    """A column that comes with its collection: nothing is known of it yet."""
    after = wish.model_dump(exclude_unset=True)
    if after:
        yield ColumnStep(collection, name, dict.fromkeys(after), after)


def _step(column: ColumnDocument, wish: ColumnPatch) -> Iterator[ColumnStep]:
    has = {
        "name": column.name if column.own_name else None,
        "locked": column.locked,
        "selected": column.selected,
    }
    wanted = wish.model_dump(exclude_unset=True)
    after = {name: value for name, value in wanted.items() if has[name] != value}
    if after:
        before = {name: has[name] for name in after}
        yield ColumnStep(column.collection_id, column.field_id, before, after)

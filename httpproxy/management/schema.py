"""How the API's schema and a sync's tables differ, and the user's word on it.

Tables follow by themselves wherever nothing can be lost. What could lose a value waits until
somebody has seen it here and accepts it; what is gone upstream is dropped only by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, Field

from httpproxy.exchange.schema.discovery import Discovered, Known, discover
from httpproxy.management.models import Model, Text
from httpproxy.management.naming import public_id, spelling_of
from httpproxy.management.problems import Declined
from httpproxy.office import Office
from httpproxy.store.layouts.drift import Difference, Location, Stage, What
from httpproxy.store.layouts.following import Followed
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.record import Collection


class SchemaDifference(Model):
    """One difference. `was` and `becomes` are names or types, after `what`.

    stage     automatic: followed at the next discovery, unasked; waiting: for somebody's
              word; kept: stays as it is
    shown_by  views of your own that keep Postgres from changing a type
    values    those that the column holds; `unfit`: of them, those that the new type cannot
              hold, which go to `_extra` of their rows
    """

    what: What
    stage: Stage
    table: str
    column: str | None
    collection: str
    collection_id: str
    field: str | None
    was: str | None
    becomes: str | None
    reason: str
    shown_by: list[str]
    values: int | None
    unfit: int | None


class RefusedCollection(Model):
    """A collection that the API refuses to describe, in its own words."""

    collection: str
    error: str
    remedy: str


class SchemaDocument(Model):
    """A sync's tables beside what the API says now. `open`: something follows, or waits."""

    model_config = ConfigDict(populate_by_name=True)

    sync: str
    schema_: str = Field(alias="schema")
    open: bool
    differences: list[SchemaDifference]
    refused: list[RefusedCollection]
    not_synced: list[str]


class SchemaWish(Model):
    """What is accepted. Without any member: every type that waits."""

    columns: list[Text] = Field(
        default_factory=list, description="Accept the new types of these TABLE.COLUMNs only."
    )
    drop: list[Text] = Field(
        default_factory=list,
        description="Drop these TABLE.COLUMNs, whose fields are gone upstream, with their"
        " values.",
    )
    add: list[Text] = Field(
        default_factory=list, description="Take these collections into the sync."
    )

    @property
    def all(self) -> bool:
        """Whether whatever waits is accepted."""
        return not (self.columns or self.drop or self.add)


class RefusedColumn(Model):
    """What Postgres would not change, and why."""

    table: str
    column: str
    why: str


class SchemaApplied(Model):
    """What was done: `changed` if the tables are not as they were."""

    changed: bool
    accepted: list[SchemaDifference]
    dropped: list[str]
    refused: list[RefusedColumn]


@dataclass(frozen=True, slots=True)
class SchemaComparison:
    """A sync's tables beside what the API says now. Nothing is changed yet."""

    sync: Sync
    discovered: Discovered
    differences: Sequence[Difference]

    def at(self, stage: Stage) -> list[Difference]:
        return [each for each in self.differences if each.stage is stage]

    @property
    def open(self) -> bool:
        """Whether the tables are not what they could be."""
        return bool(self.at(Stage.AUTOMATIC) or self.at(Stage.WAITING))


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """What is about to be done: types that are accepted, columns that are dropped."""

    comparison: SchemaComparison
    accepted: Sequence[Difference]
    drops: Sequence[Location]


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """What came of a plan."""

    plan: SchemaPlan
    followed: Followed


class Schemas:
    """Looks at differences and takes the steps. Raises Declined; Refused, Unrecognised,
    UnknownCollection (of an addition) and Rejected where the API said no; InUse."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def compare(self, sync: Sync, additions: Sequence[str] = ()) -> SchemaComparison:
        """Asks the API what it has now. `additions`: collections to be taken in."""
        provider, following = PROVIDERS[sync.provider], self._office.registry.following
        token = await self._office.conversations.token_of(sync)

        async def ask(wanted: tuple[str, ...]) -> tuple[Collection, ...]:
            return await self._office.conversations.discover(
                provider, sync.account, token, wanted
            )

        layouts = await following.layouts(sync.id)
        known = [Known(each.table.collection, each.removed) for each in layouts]
        adding = [spelling_of(provider, text, f"add[{n}]") for n, text in enumerate(additions)]
        now = await discover(
            ask, known, takes_new=sync.covers_all, tells_new=True, adding=adding
        )
        return SchemaComparison(
            sync, now, await following.compare(sync.id, now.found, gone=now.gone)
        )

    async def apply(self, plan: SchemaPlan) -> AppliedPlan:
        """Brings the tables to the API's schema, with what the plan accepts and drops."""
        sync, following = plan.comparison.sync, self._office.registry.following
        consent: dict[str, set[str]] = {}
        for each in plan.accepted:
            consent.setdefault(each.location.collection, set()).add(each.location.field or "")
        now = plan.comparison.discovered
        followed = await following.follow(sync.id, now.found, gone=now.gone, accepted=consent)
        for location in plan.drops:
            await following.drop_column(sync.id, location.collection, location.field or "")
        return AppliedPlan(plan, followed)


def plan(comparison: SchemaComparison, wish: SchemaWish) -> SchemaPlan:
    """What a wish means for what was compared. Raises Declined for what is not there to be
    accepted."""
    drops = [_dropped(comparison, text, f"drop[{n}]") for n, text in enumerate(wish.drop)]
    return SchemaPlan(comparison, _accepted(comparison, wish), drops)


def spelled(location: Location) -> str:
    """TABLE.COLUMN."""
    return f"{location.table}.{location.column}"


def _accepted(comparison: SchemaComparison, wish: SchemaWish) -> list[Difference]:
    """The types that are accepted: all that can be, or those that are named."""
    waiting = {spelled(each.location): each for each in comparison.at(Stage.WAITING)}
    if wish.all:
        return [each for each in waiting.values() if not each.dependents]
    for n, text in enumerate(wish.columns):
        member = f"columns[{n}]"
        if text not in waiting:
            names = ", ".join(waiting) or "none"
            detail = f"no type waits in {text!r}; columns that wait: {names}"
            raise Declined("bad_body", detail, member)
        if waiting[text].dependents:
            detail = f"{text}: {waiting[text].reason}. Drop the view, apply, make it again"
            raise Declined("in_use", detail, member, shown_by=list(waiting[text].dependents))
    return [waiting[text] for text in dict.fromkeys(wish.columns)]


def _dropped(comparison: SchemaComparison, text: str, member: str) -> Location:
    gone = {
        spelled(each.location): each.location
        for each in comparison.differences
        if each.what is What.FIELD_GONE
    }
    if text not in gone:
        names = ", ".join(gone) or "none"
        detail = f"{text!r} is no column whose field is gone upstream; there are: {names}"
        raise Declined("bad_body", detail, member)
    return gone[text]


def schema_document(comparison: SchemaComparison) -> SchemaDocument:
    """A comparison, told."""
    return SchemaDocument(
        sync=comparison.sync.name,
        schema=comparison.sync.schema_name,
        open=comparison.open,
        differences=[_told(comparison, each) for each in comparison.differences],
        refused=[
            RefusedCollection(collection=name, error=no.said, remedy=no.remedy)
            for name, no in comparison.discovered.refused.items()
        ],
        not_synced=list(comparison.discovered.uncovered),
    )


def applied_document(applied: AppliedPlan) -> SchemaApplied:
    """What was done, told."""
    planned, followed = applied.plan, applied.followed
    return SchemaApplied(
        changed=followed.changed or bool(planned.drops),
        accepted=[_told(planned.comparison, each) for each in planned.accepted],
        dropped=[spelled(location) for location in planned.drops],
        refused=[
            RefusedColumn(table=each.table, column=each.column, why=each.why)
            for each in followed.refused
        ],
    )


def _told(comparison: SchemaComparison, each: Difference) -> SchemaDifference:
    provider, counts = PROVIDERS[comparison.sync.provider], each.counts
    names = {found.id: found.name for found in comparison.discovered.found}
    upstream_id = each.location.collection
    name = names.get(upstream_id, each.location.table)
    return SchemaDifference(
        what=each.what,
        stage=each.stage,
        table=each.location.table,
        column=each.location.column,
        collection=upstream_id,
        collection_id=public_id(provider, upstream_id, name),
        field=each.named,
        was=each.was,
        becomes=each.becomes,
        reason=each.reason,
        shown_by=list(each.dependents),
        values=counts.held if counts else None,
        unfit=counts.unfit if counts else None,
    )

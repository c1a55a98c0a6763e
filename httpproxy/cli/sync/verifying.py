"""`httpproxy sync verify`: is what the tables say what the API says?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Final

import click

from httpproxy.cli.desk import Desk, chosen, open_desk
from httpproxy.cli.failures import FAILED, USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.exchange.allotment import Allotment
from httpproxy.exchange.apis import APIS
from httpproxy.exchange.live import Live
from httpproxy.office import Office, make_reading
from httpproxy.settings.reading import Settings
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.registry import Sync
from httpproxy.sync.truth import Finding, Truth
from providers.spec import Budget

SAMPLE: Final = 100
# A serving process does not know of this one's calls, nor this one of its: so it takes
# only a fifth of what the sync may use.
_SHARE: Final = 5
_NAMED: Final = 10  # records of a kind


@dataclass(frozen=True, slots=True)
class _Looked:
    table: str
    finding: Finding

    @property
    def open(self) -> int:
        """Rows that are wrong still."""
        return len(self.finding.wrong) - self.finding.repaired


@click.command()
@click.argument("name")
@click.argument("table", required=False)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Compare N rows of each table, taken by chance. Default {SAMPLE}.",
)
@click.option("--all", "everything", is_flag=True, help="Compare all that the API lists.")
@click.option("--repair", is_flag=True, help="Put right what differs.")
@json_option
@click.pass_context
def verify(  # noqa: PLR0913 - one per option
    context: click.Context,
    name: str,
    table: str | None,
    *,
    sample: int | None,
    everything: bool,
    repair: bool,
    wants_json: bool,
) -> None:
    """Compare rows of the sync NAME, or of its TABLE, with what the API says of them now.

    It works beside `httpproxy serve`, at a fifth of the sync's rate. What changed a moment
    ago elsewhere also differs: look again before you call it drift. The exit code is 1 if
    rows differ that were not repaired.

    \b
    Examples
      httpproxy sync verify crm
      httpproxy sync verify crm contact --all --repair
    """
    if everything and sample is not None:
        raise Failure("--all compares every record: leave out --sample", USAGE)
    invocation: Invocation = context.obj
    settings = invocation.settings()
    asked = _Asked(name, table, None if everything else sample or SAMPLE, repair)
    looked = run(settings, _verified(settings, asked))
    if wants_json:
        as_json([{"table": each.table, **asdict(each.finding)} for each in looked])
    else:
        _tell(looked, name, repair=repair)
    if any(each.open for each in looked):
        context.exit(FAILED)


@dataclass(frozen=True, slots=True)
class _Asked:
    name: str
    table: str | None
    sample: int | None
    repair: bool


async def _verified(settings: Settings, asked: _Asked) -> list[_Looked]:
    async with open_desk(settings) as desk:
        sync = await desk.sync(asked.name)
        named = (asked.table,) if asked.table else ()
        tables = chosen(await desk.health(sync), named, sync.name)
        live = _live(desk.office, sync)
        async with _truth(desk) as truth:
            looked = []
            for table in tables:
                click.echo(f"comparing {table.table} …", err=True)
                found = await truth.verify(
                    live, table.id, sample=asked.sample, repair=asked.repair
                )
                looked += [_Looked(table.table, finding) for finding in found]
            return looked


def _live(office: Office, sync: Sync) -> Live:
    """The sync as this process works on it, at its own small rate. Raises Failure."""
    api = APIS.get(sync.provider)
    if api is None:
        raise Failure(f"this version has no provider {sync.provider!r}")
    rates = {rate.name: rate for rate in (*api.provider.default_rates, *sync.rates)}
    slow = tuple(_slowed(rate) for rate in rates.values())
    return Live(sync, Allotment(api, sync.account, office.limiter, slow, sync.id))


def _slowed(rate: Budget) -> Budget:
    """A fifth of a rate; where that is less than a request, one in a longer interval."""
    fewer = rate.allowed_requests // _SHARE
    if fewer:
        return replace(rate, allowed_requests=fewer)
    longer = rate.interval * _SHARE / rate.allowed_requests
    return replace(rate, allowed_requests=1, interval=longer)


@asynccontextmanager
async def _truth(desk: Desk) -> AsyncIterator[Truth]:
    """What compares; its requests are added to the sync's."""
    office = desk.office
    async with Committer(office.dsn) as committer, Loader(office.dsn, committer) as loader:
        reading = make_reading(office, committer, loader)
        try:
            yield Truth(reading, office.comparing, office.registry)
        finally:
            await office.progress.count_requests(reading.usage.drain())


def _tell(looked: Sequence[_Looked], name: str, *, repair: bool) -> None:
    columns = ("table", "compared", "same", "differ", "lacking", "moved", "repaired")
    as_table(columns, [_line(each) for each in looked])
    for each in looked:
        for what, ids in (("differ", each.finding.drifted), ("lacking", each.finding.absent)):
            if ids:
                more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
                click.echo(f"{each.table}, {what}: {', '.join(ids[:_NAMED])}{more}")
    if any(each.open for each in looked):
        again = "they were written meanwhile and will be read again"
        anew = f"`httpproxy sync verify {name} --repair` puts them right"
        click.echo(f"  -> {again if repair else anew}")


def _line(each: _Looked) -> tuple[str | int, ...]:
    found = each.finding
    wrong = len(found.drifted), len(found.absent)
    return (each.table, found.checked, found.same, *wrong, found.moved, found.repaired)

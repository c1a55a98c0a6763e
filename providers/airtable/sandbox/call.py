"""One request as the handlers see it: parsed, authorised, with the world at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.airtable.sandbox.errors import (
    Refusal,
    invalid,
    no_model,
    not_found,
)
from providers.airtable.sandbox.state import (
    BaseState,
    RecordState,
    TableState,
    TokenState,
    World,
)
from providers.airtable.sandbox.switches import Switches
from providers.http import Request
from providers.record import JSON


@dataclass(slots=True)
class Iteration:
    """A listing that is being paged through: its record ids and when it was last used.

    `starts`: where the pages begin whose offsets were given out, by their first record.
    """

    name: str
    table: str
    ids: list[str]
    used: float
    starts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Volatile:
    """What a restart forgets: running listings, request counts, penalties."""

    iterations: dict[str, Iteration] = field(default_factory=dict)
    recent: dict[str, list[float]] = field(default_factory=dict)
    silent_until: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    listings: int = 0


@dataclass(slots=True)
class Call:
    """`body` is the parsed JSON of the request, None if it has none."""

    request: Request
    variables: Mapping[str, str]
    body: JSON
    now: float
    world: World
    volatile: Volatile
    switches: Switches
    token: TokenState

    @property
    def base(self) -> BaseState:
        """The base that the path names. Raises Refusal."""
        found = self.world.bases.get(self.variables["base"])
        if found is None:
            raise no_model()
        return found

    @property
    def table(self) -> TableState:
        """The table that the path names, by id or name. Raises Refusal."""
        found = self.base.find_table(self.variables["table"])
        if found is None:
            raise no_model()
        return found

    @property
    def record(self) -> RecordState:
        """The record that the path names. Raises Refusal."""
        found = self.table.records.get(self.variables["record"])
        if found is None:
            raise self.missing()
        return found

    @property
    def asked(self) -> dict[str, JSON]:
        """The body, which has to be an object. Raises Refusal."""
        if not isinstance(self.body, dict):
            raise invalid()
        return self.body

    def missing(self) -> Refusal:
        """The refusal for a record that does not exist."""
        if self.switches.missing_status == 404:
            return not_found(as_string=self.switches.missing_as_string)
        return no_model()

    def flag(self, name: str) -> bool:
        """A boolean of the body. Raises Refusal for anything else."""
        value = self.asked.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise invalid()

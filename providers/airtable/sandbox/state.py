"""What the simulated Airtable remembers: bases, tables, fields, records, tokens.

Plain dataclasses, changed in place by the handlers. Cells are kept by field id in the
form in which the API shows them; an empty cell is absent. Times are seconds since the
epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from providers.record import JSON

# The years 1 to 9999, beyond which `iso` cannot spell a time.
_FIRST: Final = -62_135_596_800
_LAST: Final = 253_402_300_800

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True)
class FieldState:
    """A field; `options` are those of its metadata."""

    id: str
    name: str
    type: str
    options: dict[str, JSON] = field(default_factory=dict)
    description: str | None = None

    def option(self, name: str) -> str:
        """A text option, "" if it is not set."""
        found = self.options.get(name)
        return found if isinstance(found, str) else ""

    @property
    def choices(self) -> list[dict[str, JSON]]:
        """The select options, {"id", "name", "color"}; appending adds one."""
        found = self.options.setdefault("choices", [])
        return found if isinstance(found, list) else []  # type: ignore[return-value]  # seeded so


@dataclass(slots=True)
class RecordState:
    """`touched`: when each field was last written; `number`: the autoNumber."""

    id: str
    created: float
    modified: float
    number: int
    author: str
    editor: str
    cells: dict[str, JSON] = field(default_factory=dict)
    touched: dict[str, float] = field(default_factory=dict)
    comments: list[dict[str, JSON]] = field(default_factory=list)


@dataclass(slots=True)
class TableState:
    """A table; `primary` is the id of its first field, `next_number` the next autoNumber."""

    id: str
    name: str
    primary: str
    fields: dict[str, FieldState] = field(default_factory=dict)
    records: dict[str, RecordState] = field(default_factory=dict)
    views: list[dict[str, JSON]] = field(default_factory=list)
    description: str | None = None
    next_number: int = 1

    def find_field(self, spelling: str) -> FieldState | None:
        """By id or name; an id wins."""
        found = self.fields.get(spelling)
        return found or next((f for f in self.fields.values() if f.name == spelling), None)


@dataclass(slots=True)
class WebhookState:
    """`first` is the cursor of the oldest payload that is still kept."""

    id: str
    specification: dict[str, JSON]
    expires: float
    notification_url: str | None = None
    enabled: bool = True
    first: int = 1
    payloads: list[dict[str, JSON]] = field(default_factory=list)


@dataclass(slots=True)
class BaseState:
    """A base; `transaction` counts its changes."""

    id: str
    name: str
    workspace: str
    created: float
    tables: dict[str, TableState] = field(default_factory=dict)
    webhooks: dict[str, WebhookState] = field(default_factory=dict)
    transaction: int = 0

    def find_table(self, spelling: str) -> TableState | None:
        """By id or name; an id wins."""
        found = self.tables.get(spelling)
        return found or next((t for t in self.tables.values() if t.name == spelling), None)

    def links_to(self, table_id: str) -> Iterator[tuple[TableState, FieldState]]:
        """Every link field of the base that leads to the table."""
        for table in self.tables.values():
            for link in table.fields.values():
                if link.option("linkedTableId") == table_id:
                    yield table, link


@dataclass(slots=True)
class TokenState:
    """A token and its user. `scopes` None: all, and nobody is told; `bases`: base id ->
    permission level. `oauth`: an app was given it, and it is good until `expires`; None: it
    was not used yet, from when on its time runs.
    """

    secret: str
    user: str
    email: str
    name: str
    bases: dict[str, str] = field(default_factory=dict)
    scopes: list[str] | None = None
    oauth: bool = False
    expires: float | None = None


@dataclass(slots=True)
class GrantState:
    """What a user allowed an OAuth app: the tokens of it that are good now.

    `spent`: the refresh tokens that were used. `expires`: when the present one does, unless
    it is used.
    """

    client_id: str
    access_token: str
    refresh_token: str
    expires: float | None = None
    spent: list[str] = field(default_factory=list)


@dataclass(slots=True)
class World:
    """Everything there is, and the counter from which ids are made.

    `apps`: client id -> secret, "" for an app without one.
    """

    bases: dict[str, BaseState] = field(default_factory=dict)
    tokens: dict[str, TokenState] = field(default_factory=dict)
    apps: dict[str, str] = field(default_factory=dict)
    grants: list[GrantState] = field(default_factory=list)
    issued: int = 0

    def new_id(self, prefix: str) -> str:
        """A fresh id: the prefix and 14 letters and digits, the same in every run."""
        self.issued += 1
        number = int.from_bytes(sha256(f"{prefix}{self.issued}".encode()).digest()[:16], "big")
        digits = []
        for _ in range(14):
            number, digit = divmod(number, len(_ALPHABET))
            digits.append(_ALPHABET[digit])
        return prefix + "".join(digits)

    def person(self, spelling: str) -> dict[str, JSON] | None:
        """The collaborator with this user id, e-mail address or name."""
        for token in self.tokens.values():
            if spelling in (token.user, token.email, token.name):
                return {"id": token.user, "email": token.email, "name": token.name}
        return None


def dump_world(world: World) -> JSON:
    # By way of text, which is twenty times as fast as dataclasses.asdict.
    dumped: JSON = orjson.loads(orjson.dumps(world))
    return dumped


def load_world(state: Any) -> World:
    """The world of an earlier `dump_world`. Raises KeyError, TypeError for anything else."""
    return World(
        bases={k: _load_base(v) for k, v in state["bases"].items()},
        tokens={k: TokenState(**v) for k, v in state["tokens"].items()},
        apps=dict(state.get("apps", {})),  # a state of before there were any
        grants=[GrantState(**each) for each in state.get("grants", ())],
        issued=state["issued"],
    )


def _load_base(state: Any) -> BaseState:
    tables = {k: _load_table(v) for k, v in state["tables"].items()}
    webhooks = {k: WebhookState(**v) for k, v in state["webhooks"].items()}
    return BaseState(**{**state, "tables": tables, "webhooks": webhooks})


def _load_table(state: Any) -> TableState:
    fields = {k: FieldState(**v) for k, v in state["fields"].items()}
    records = {k: RecordState(**v) for k, v in state["records"].items()}
    return TableState(**{**state, "fields": fields, "records": records})


def iso(moment: float) -> str:
    """Seconds since the epoch as Airtable spells a time: "2026-11-21T07:00:00.000Z"."""
    at = datetime.fromtimestamp(moment, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_second(moment: float) -> str:
    """The same in whole seconds, as in `createdTime`."""
    return iso(int(moment))


def parse_moment(text: str) -> float | None:
    """The time that a date or ISO 8601 text names, UTC if it names no offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    seconds = (at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return seconds if _FIRST <= seconds < _LAST else None

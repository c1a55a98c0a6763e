"""Mutations driven against a provider's sandbox, and what there is to mutate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airtable_writes import CALL, CELLS, PLAN, WRITE
from driving import Account
from hubspot_writes import CHARLES, COMPILERS, ENGINES, GRACE, MARY

from providers.http import Response
from providers.mutating import Batch, MutationKind, Outcome, Wanted
from providers.record import Collection, Schema
from providers.spec import Provider
from providers.wanted import Asked, wanted

PAIR = "associations_company_contact"


@dataclass(frozen=True)
class Ground:
    """What the sandbox of a provider holds that a mutation may be about.

    values    a value of every type that can be written, as streams tell it
    name      a field of text, `refused` a value of another field that the API refuses
    unique    a field that records can be found by, with a value for the nth record
    """

    collection: str
    ids: tuple[str, ...]
    values: Mapping[str, Any]
    name: str
    refused: tuple[str, Any]
    unique: str
    unique_value: str
    computed: str
    size: int


GROUNDS = {
    "airtable": Ground(
        "Tasks",
        (PLAN, WRITE, CALL),
        CELLS,
        "Name",
        ("Status", "no such option"),
        "Name",
        "Task {}",
        "Cost",
        10,
    ),
    "hubspot": Ground(
        "contacts",
        (CHARLES, GRACE, MARY),
        {
            "email": "ada@example.com",
            "firstname": "Ada",
            "phone": "+49 30 123456",
            "lifecyclestage": "customer",
            "hs_buying_role": ["CHAMPION", "END_USER"],
            "score": "9007199254740993",
            "is_partner": True,
            "birthday": "1815-12-10",
            "next_call": "2026-12-01T09:30:00Z",
            "hubspot_owner_id": "17",
        },
        "firstname",
        ("lifecyclestage", "no such option"),
        "customer_number",
        "N-{}",
        "hs_object_id",
        100,
    ),
}
PAIRS = ((ENGINES, MARY), (COMPILERS, CHARLES))


@dataclass
class Mutated:
    """What was sent, and what became of each record."""

    batches: tuple[Batch, ...]
    answers: list[Response]
    outcomes: list[Outcome]


@dataclass
class Desk:
    """A fresh account, and mutations of it."""

    account: Account

    def __post_init__(self) -> None:
        self.schema = Schema(self.account.discover())
        self.api = self.provider.mutations

    @property
    def provider(self) -> Provider:
        return self.account.provider

    @property
    def ground(self) -> Ground:
        return GROUNDS[self.provider.name]

    @property
    def collection(self) -> Collection:
        return self.collection_of(self.ground.collection)

    def collection_of(self, spelling: str) -> Collection:
        found = self.schema.find(spelling)
        assert found is not None
        return found

    def asked(self, kind: str, records: Sequence[Any], *match: str, of: str = "") -> Asked:
        collection = self.collection_of(of or self.ground.collection)
        return Asked(collection, MutationKind(kind), records, match, schema=self.schema)

    def wanted(self, kind: str, records: Sequence[Any], *match: str) -> tuple[Wanted, ...]:
        return wanted(self.asked(kind, records, *match), self.api)[1]

    def mutate(self, kind: str, records: Sequence[Any], *match: str, of: str = "") -> Mutated:
        """Sends a mutation, batch by batch; no batch is divided."""
        asked = self.asked(kind, records, *match, of=of)
        batches = self.api.compose(*wanted(asked, self.api))
        answers = [self.account.call(batch.request) for batch in batches]
        told = [
            outcome
            for batch, answer in zip(batches, answers, strict=True)
            for outcome in self.api.outcomes(batch, answer)
        ]
        return Mutated(batches, answers, told)

    def truth(self, *record_ids: str, of: str = "") -> list[dict[str, Any] | None]:
        """The records as the API has them now, flat; None for one that is gone."""
        collection = self.collection_of(of or self.ground.collection)
        keys = [tuple(i.split(":")) for i in record_ids]
        images = self.account.converse(self.provider.read_records(collection, keys))
        shown = {i.record_id: i for i in images if i.kind == "replace"}
        return [self._flat(collection, shown[i]) if i in shown else None for i in record_ids]

    def _flat(self, collection: Collection, image: Any) -> dict[str, Any] | None:
        if image.values.get("$archived") is True:
            return None
        return self.provider.plain(collection, image.data)

"""HubSpot's object types and how requests spell them.

A path may name one type in five ways: plural ("contacts"), singular ("contact"), type
id ("0-1"), and for custom objects also the schema's name and its fully qualified name
("p48000001_car", or "p_car" for short). Here they become one `Collection`, identified
by the type id, which no rename changes.

An association between two types is a collection of its own, a *pair*: one row per two
associated records, the types in alphabetical order of their table names. HubSpot's
associations can be read from either end, so one row is enough; only where a type is
associated with itself (a parent company) is the direction all there is, and both rows
are kept, each with the labels seen from its left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from providers.record import JSON, Collection, ColumnType, Field, Schema

PAIR_PREFIX: Final = "associations_"


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A type of record: "0-1", "contacts", "contact", and further spellings."""

    id: str
    plural: str
    singular: str
    others: frozenset[str] = frozenset()

    @property
    def spellings(self) -> frozenset[str]:
        return self.others | {self.id, self.plural, self.singular}


STANDARD: Final = tuple(
    ObjectType(id_, plural, singular, frozenset(others))
    for id_, plural, singular, *others in (
        ("0-1", "contacts", "contact"),
        ("0-2", "companies", "company"),
        ("0-3", "deals", "deal"),
        ("0-5", "tickets", "ticket"),
        ("0-7", "products", "product"),
        ("0-8", "line_items", "line_item"),
        ("0-14", "quotes", "quote"),
        ("0-18", "communications", "communication"),
        ("0-19", "feedback_submissions", "feedback_submission"),
        ("0-27", "tasks", "task"),
        ("0-46", "notes", "note"),
        ("0-47", "meetings", "meeting"),
        ("0-48", "calls", "call"),
        ("0-49", "emails", "email"),
        ("0-53", "invoices", "invoice"),
        ("0-69", "subscriptions", "subscription"),
        ("0-74", "goal_targets", "goal_target", "goals", "goal"),
        ("0-84", "discounts", "discount"),
        ("0-85", "fees", "fee"),
        ("0-86", "taxes", "tax"),
        ("0-101", "commerce_payments", "commerce_payment", "payments", "payment"),
        ("0-115", "users", "user"),
        ("0-116", "postal_mail", "postal_mail"),
        ("0-123", "orders", "order"),
        ("0-136", "leads", "lead"),
        ("0-142", "carts", "cart"),
        ("0-162", "services", "service"),
        ("0-410", "courses", "course"),
        ("0-420", "listings", "listing"),
        ("0-421", "appointments", "appointment"),
        ("0-970", "projects", "project"),
    )
)

_SINGULAR: Final = {kind.id: kind.singular for kind in STANDARD}

SYSTEM_FIELDS: Final = (
    Field("$id", "id", "string", ColumnType.TEXT, writable=False, column_name="id"),
    Field(
        "$created_at",
        "createdAt",
        "datetime",
        ColumnType.TIMESTAMPTZ,
        writable=False,
        column_name="created_at",
    ),
    Field(
        "$updated_at",
        "updatedAt",
        "datetime",
        ColumnType.TIMESTAMPTZ,
        writable=False,
        column_name="updated_at",
    ),
    Field(
        "$archived",
        "archived",
        "bool",
        ColumnType.BOOLEAN,
        writable=False,
        empty=False,
        column_name="archived",
    ),
)


def object_collection(kind: ObjectType, properties: Iterable[Field]) -> Collection:
    """The collection of one object type."""
    return Collection(
        id=kind.id,
        name=kind.plural,
        fields=(*SYSTEM_FIELDS, *properties),
        table_name=kind.singular,
        aliases=kind.spellings,
    )


def handle(upstream_id: str, name: str) -> str:
    """How a collection is called in what the house tells: "contact", not "0-1"."""
    return _SINGULAR.get(upstream_id, name)


def find_objects(schema: Schema, spelling: str) -> Collection | None:
    """The object collection that a path segment or a body names."""
    found = schema.find(spelling) or schema.find(spelling.lower())
    return None if found is None or is_pair(found) else found


# --- pairs ----------------------------------------------------------------------------


def is_pair(collection: Collection) -> bool:
    return collection.key != ("$id",)


def pair_collection(
    one: Collection, other: Collection, aliases: frozenset[str] = frozenset()
) -> Collection:
    """The collection of the associations between two object collections.

    The key fields' `type` is the object type id at that end, which is what reading the
    associations again takes. `aliases` are association types (`type_alias`).
    """
    left, right = ends(one, other)
    first, second = _column(left), _column(right)
    return Collection(
        id=pair_id(left, right),
        name=pair_id(left, right),
        fields=(
            _end("$left", left, first),
            _end("$right", right, f"{second}_2" if first == second else second),
            Field(
                "$labels",
                "labels",
                "labels",
                ColumnType.TEXT_ARRAY,
                writable=False,
                column_name="labels",
            ),
        ),
        key=("$left", "$right"),
        table_name=pair_id(left, right),
        aliases=aliases,
    )


def ends(one: Collection, other: Collection) -> tuple[Collection, Collection]:
    """The two in the order in which their pair has them."""
    return (one, other) if one.table_name <= other.table_name else (other, one)


def pair_id(one: Collection, other: Collection) -> str:
    left, right = ends(one, other)
    return f"{PAIR_PREFIX}{left.table_name}_{right.table_name}"


def find_pair(schema: Schema, one: Collection, other: Collection) -> Collection | None:
    return schema.find(pair_id(one, other))


def pairs_of(schema: Schema, objects: Collection) -> tuple[Collection, ...]:
    """The pairs that have records of this collection at one end."""
    return tuple(
        c
        for c in schema.collections
        if is_pair(c) and objects.id in (c.fields[0].type, c.fields[1].type)
    )


def type_alias(from_id: str, category: str, type_id: int | str) -> str:
    """How a create names an association's other end: only by the association type.

    Type ids are per direction and (for labels and custom objects) per portal, so they
    are discovered and become aliases of the pair.
    """
    return f"{from_id}>{category}:{type_id}"


def label_alias(from_id: str, category: str, type_id: str, label: str) -> str:
    """A type with its label, as seen from one end; the label of the plain type is "".

    It follows the alias of the type (`type_alias`), so that what a label stands for is
    known wherever the pair is.
    """
    return f"{type_alias(from_id, category, type_id)}>{label}"


def types_from(pair: Collection, from_id: str) -> dict[str, dict[str, JSON]]:
    """Label -> the association type, as a request spells it, from one end of a pair."""
    found: dict[str, dict[str, JSON]] = {}
    for alias in sorted(pair.aliases):
        origin, _, rest = alias.partition(">")
        spelled, arrow, label = rest.partition(">")
        category, _, type_id = spelled.partition(":")
        if origin == from_id and arrow and type_id.isdecimal():
            found.setdefault(
                label,
                {"associationCategory": category, "associationTypeId": int(type_id)},
            )
    return found


def _end(field_id: str, objects: Collection, column: str) -> Field:
    return Field(
        field_id,
        objects.name,
        objects.id,
        ColumnType.TEXT,
        writable=False,
        column_name=column,
    )


def _column(objects: Collection) -> str:
    return re.sub(r"[^a-z0-9]+", "_", objects.table_name.lower()).strip("_") + "_id"

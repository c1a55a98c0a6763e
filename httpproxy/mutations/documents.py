"""Mutations as documents: what is asked for, and what became of each record."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, JsonValue

from httpproxy.management.models import Model, Text

LONGEST_WAIT: Final = 60.0
WAIT: Final = 5.0

Kind = Literal["create", "update", "upsert", "delete"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict | str) else value


Records = Annotated[
    list[JsonValue],
    BeforeValidator(
        _listed,
        json_schema_input_type=list[dict[str, JsonValue] | str] | dict[str, JsonValue] | str,
    ),
]
Names = Annotated[list[Text], BeforeValidator(_listed, json_schema_input_type=list[str] | str)]


class RecordsToChange(Model):
    """Records of one collection, and what is to become of them (by the path's kind)."""

    sync_id: Text = Field(description="The sync's id, or its name.")
    collection_id: Text = Field(
        description="`hubspot:contact`, or any name of the collection; the prefix may be left"
        " out."
    )
    data: Records = Field(
        description="The records, or one of them: objects of field names (or ids, or names of"
        " columns) and values, in the shape in which streams tell records. `id` names a record"
        " to be updated or deleted; one to be deleted may be its id alone."
    )
    match: Names = Field(
        default=[],
        max_length=10,
        description="For upsert: the fields by which records are found. HubSpot takes one,"
        " which must be unique; Airtable up to three.",
    )
    typecast: bool = Field(
        default=False,
        description="Airtable makes of a value what its field can hold, and new options where"
        " there are none. Other providers have nothing like it, and refuse it.",
    )
    await_consumer_ids: Names = Field(
        default=[],
        max_length=20,
        description="Who is to have the result before the answer: `replica:NAME`.",
    )
    await_consumers_timeout: float = Field(
        default=WAIT, ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="Seconds."
    )
    dry_run: bool = Field(default=False, description="Say what would be done, and do nothing.")


class Mutation(RecordsToChange):
    """Records of one collection, and what is to become of them."""

    kind: Kind = Field(description="What is to become of the records.")


class RecordError(Model):
    """Why a record was not written, in the API's own words, or in ours."""

    status: int = Field(description="Of the API's answer; of ours, if `code` is there.")
    message: str
    code: str | None = Field(default=None, description="If it is our word and not the API's.")
    body: JsonValue = Field(default=None, description="What the API said, in full.")
    together: int = Field(
        default=1,
        description="It was said of so many records at once; not all need be at fault.",
    )


class RecordResult(Model):
    """What became of one record.

    `status`: applied; failed: the API refused it; unknown: whether the API has applied it
    nobody knows yet, it is being looked into; not_sent: its turn did not come.
    """

    index: int = Field(description="Its place in `data`.")
    status: Literal["applied", "failed", "unknown", "not_sent"]
    upstream_id: str | None
    created: bool | None = Field(default=None, description="Of an upsert: whether it is new.")
    data: dict[str, JsonValue] | None = Field(
        default=None, description="The record as the API answered it; HubSpot answers in part."
    )
    error: RecordError | None = None
    committed: Literal["applied", "deferred"] | None = Field(
        default=None, description="Whether its row is in the database already, or will be."
    )


class Mutated(Model):
    """What became of a mutation, record by record, in the order of its data."""

    mutation_id: str
    sync_id: str
    collection_id: str
    kind: Kind
    results: list[RecordResult] = Field(default=[], description="Empty for a dry run.")
    awaited: bool | None = Field(
        default=None,
        description="Whether all who were to be awaited have it; null if nobody was.",
    )
    dry_run: bool = False
    preview: Preview | None = Field(
        default=None, description="Of a dry run: what would be done."
    )


class Preview(Model):
    """What a mutation would do, told without asking the API."""

    requests: list[JsonValue] = Field(description="The calls, as they would go out.")
    changes: list[JsonValue] = Field(description="Rows as they are, and as they would be.")
    more_records: int = Field(description="Records that are not shown for their number.")
    faults: list[str] = Field(description="What the API will refuse, as far as is known.")
    permits: JsonValue = Field(description="What it costs of the rate limit.")
    schema_as_of: str | None


Mutated.model_rebuild()

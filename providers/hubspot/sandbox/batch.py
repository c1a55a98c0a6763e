"""Batches of records: a hundred at most, and all or nothing.

Only with an `objectWriteTraceId` in every input does HubSpot write what it can and
answer 207 for the rest; a batch read, and a batch archive, take what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from providers.hubspot.sandbox import records
from providers.hubspot.sandbox.errors import ApiError, invalid, not_found
from providers.hubspot.sandbox.objects import PREFIXES
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import ObjectKind, Record, stamp
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

AT_ONCE: Final = 100
Given = Mapping[str, JSON]
Act = Callable[[], dict[str, JSON]]
Plan = Callable[[Given], Act]


def create(call: Call) -> Answer:
    kind = call.kind("write")

    def plan(given: Given) -> Act:
        draft = records.draft(call, kind, given)
        return lambda: records.written(call, kind, records.make(call, kind, draft), given)

    status = call.switches.dated_batch_create_status if call.dated else 201
    return _written(call, kind, plan, status)


def update(call: Call) -> Answer:
    kind = call.kind("write")

    def plan(given: Given) -> Act:
        record = records.live(kind, records.input_id(given), as_text(given.get("idProperty")))
        return _writing(call, kind, record, given)

    return _written(call, kind, plan, 200)


def upsert(call: Call) -> Answer:
    """POST …/batch/upsert: each input by its unique property; what is not there is made."""
    kind = call.kind("write")

    def plan(given: Given) -> Act:
        name = as_text(given.get("idProperty"))
        if not name:
            raise invalid("Invalid input JSON: idProperty is required")
        key = records.input_id(given)
        record = records.find(kind, key, name)
        if record is not None:
            return _writing(call, kind, record, given)
        return _making(call, kind, _identified(given, name, key))

    return _written(call, kind, plan, 200, new_flag=True)


def _identified(given: Given, name: str, key: str) -> Given:
    """The input with the identifying value among its properties."""
    properties = given.get("properties")
    own = properties if isinstance(properties, dict) else {}
    return {**given, "properties": {name: key, **own}} if name != "hs_object_id" else given


def _making(call: Call, kind: ObjectKind, given: Given) -> Act:
    draft = records.draft(call, kind, given)

    def act() -> dict[str, JSON]:
        made = records.make(call, kind, draft)
        return {**records.written(call, kind, made, given), "new": True}

    return act


def _writing(call: Call, kind: ObjectKind, record: Record, given: Given) -> Act:
    values = records.change(call, kind, record, given)

    def act() -> dict[str, JSON]:
        records.write(call, kind, record, values)
        return records.written(call, kind, record, given)

    return act


def _written(
    call: Call, kind: ObjectKind, plan: Plan, status: int, *, new_flag: bool = False
) -> Answer:
    """Plans every input, then acts on all of them, or on those that may be."""
    given = records.inputs(call, AT_ONCE)
    traced = all(each.get("objectWriteTraceId") for each in given)
    _no_twins(kind, given)
    acts: list[tuple[Given, Act]] = []
    errors: list[JSON] = []
    for each in given:
        try:
            acts.append((each, plan(each)))
        except ApiError as error:
            if not traced:
                raise
            errors.append(
                records.problem(
                    error, {"objectWriteTraceId": [str(each["objectWriteTraceId"])]}
                )
            )
    results: list[JSON] = []
    for one, act in acts:
        result = act()
        if one.get("objectWriteTraceId"):
            result["objectWriteTraceId"] = str(one["objectWriteTraceId"])
        if new_flag:
            result.setdefault("new", False)
        results.append(result)
    return completed(call, results, errors, status)


def _no_twins(kind: ObjectKind, given: list[dict[str, JSON]]) -> None:
    """Two inputs of one batch may not claim the same unique value."""
    seen: set[tuple[str, str]] = set()
    for each in given:
        properties = each.get("properties")
        for name, value in properties.items() if isinstance(properties, dict) else ():
            definition = kind.properties.get(name)
            if definition is None or definition.get("hasUniqueValue") is not True or not value:
                continue
            if (name, as_text(value).lower()) in seen:
                raise invalid(f"Duplicate {name} in the batch: {as_text(value)}")
            seen.add((name, as_text(value).lower()))


def completed(call: Call, results: list[JSON], errors: list[JSON], status: int) -> Answer:
    """The answer to a batch: `status`, or 207 if something failed."""
    moment = stamp(call.now)
    body: dict[str, JSON] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": moment,
        "completedAt": moment,
    }
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return (207 if errors else status), body


def archive(call: Call) -> Answer:
    kind = call.kind("write")
    found = [
        records.find(kind, records.input_id(each)) for each in records.inputs(call, AT_ONCE)
    ]
    for record in found:
        if record is not None:
            records.archive(call, kind, record)
    return EMPTY


def read(call: Call) -> Answer:
    """POST …/batch/read: what is there, and 207 for what is not."""
    kind = call.kind("read")
    id_property = as_text(call.body.get("idProperty"))
    names = _names(call.body.get("properties"))
    with_history = _names(call.body.get("propertiesWithHistory"))
    results: list[JSON] = []
    missing: list[JSON] = []
    for each in records.inputs(call, AT_ONCE):
        key = records.input_id(each)
        follow = call.switches.merged_ids_in_batch_read
        record = records.find(kind, key, id_property, follow=follow)
        if record is None or (record.archived is not None) != call.flag("archived"):
            missing.append(key)
            continue
        shown = records.shown(call, kind, record, names or None)
        if with_history:
            shown["propertiesWithHistory"] = records.history(record, with_history)
        results.append(shown)
    gone = not_found("Could not get some objects, they may be deleted or not exist.")
    errors: list[JSON] = [records.problem(gone, {"ids": missing})] if missing else []
    return completed(call, results, errors, 200)


def _names(value: JSON) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


PATHS: Final[list[Path]] = below(
    PREFIXES,
    (
        ("POST", "/{type}/batch/create", create),
        ("POST", "/{type}/batch/update", update),
        ("POST", "/{type}/batch/upsert", upsert),
        ("POST", "/{type}/batch/archive", archive),
        ("POST", "/{type}/batch/read", read),
    ),
)

"""Associations in batches: what fails is listed, the rest is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from providers.hubspot.sandbox import links, records
from providers.hubspot.sandbox.associations import (
    LARGEST_PAGE,
    add_pair,
    between,
    both_directions,
    ends_of,
    labelled_page,
    live_pair,
    type_named,
    typed_rows,
)
from providers.hubspot.sandbox.batch import completed
from providers.hubspot.sandbox.errors import ApiError, invalid
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import Record
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

MOST: Final = 2_000
MOST_READ: Final = 1_000


def batch_create(call: Call) -> Answer:
    """v3 (`type`) and v4 (`types`): what fails is listed, the rest is done."""
    ends = ends_of(call, "write")
    v3 = "/v3/" in call.request.path

    def one(given: dict[str, JSON]) -> list[JSON]:
        if v3:
            types: tuple[int, ...] = (type_named(call, ends, as_text(given.get("type"))).id,)
        else:
            types = links.type_ids(call.portal, ends, given.get("types"))
        pair = live_pair(ends, _end(given, "from"), _end(given, "to"))
        add_pair(call, ends, pair, types)
        if v3:
            return [{"from": {"id": pair[0]}, "to": {"id": pair[1]}, "type": given["type"]}]
        return [between(call, ends, pair, types)]

    return _each(call, one, 201)


def batch_default(call: Call) -> Answer:
    ends = ends_of(call, "write")
    default = links.default_type(call.portal, *ends)

    def one(given: dict[str, JSON]) -> list[JSON]:
        pair = live_pair(ends, _end(given, "from"), _end(given, "to"))
        add_pair(call, ends, pair, [default.id])
        return both_directions(call, ends, pair)

    return _each(call, one, 200)


def _each(call: Call, one: Callable[[dict[str, JSON]], list[JSON]], status: int) -> Answer:
    results: list[JSON] = []
    errors: list[JSON] = []
    for given in records.inputs(call, MOST):
        try:
            results += one(given)
        except ApiError as error:
            ids: JSON = [_end(given, "from", "?"), _end(given, "to", "?")]
            errors.append(records.problem(error, {"ids": ids}))
    return completed(call, results, errors, status)


def _end(given: dict[str, JSON], name: str, default: str = "") -> str:
    end = given.get(name)
    found = as_text(end.get("id")) if isinstance(end, dict) else ""
    if not found and not default:
        raise invalid(f"Invalid input JSON: {name}.id is required")
    return found or default


def batch_archive(call: Call) -> Answer:
    ends = ends_of(call, "write")
    for given in records.inputs(call, MOST):
        for to_id in _to_ids(given):
            links.remove(call, ends, (_end(given, "from"), to_id))
    return _archived(call)


def batch_archive_labels(call: Call) -> Answer:
    ends = ends_of(call, "write")
    for given in records.inputs(call, MOST):
        types = links.type_ids(call.portal, ends, given.get("types"))
        for to_id in _to_ids(given):
            links.remove(call, ends, (_end(given, "from"), to_id), types)
    return _archived(call)


def _to_ids(given: dict[str, JSON]) -> list[str]:
    to = given.get("to")
    if isinstance(to, list):
        return [_end({"to": each}, "to") for each in to]
    return [_end(given, "to")]


def _archived(call: Call) -> Answer:
    if call.dated and call.switches.dated_association_archive_status == 200:
        return completed(call, [], [], 200)
    return EMPTY


def batch_read(call: Call) -> Answer:
    """Of those that have any: v3 ids with type names, v4 ids with labels."""
    ends = ends_of(call, "read")
    v3 = "/v3/" in call.request.path
    results: list[JSON] = []
    errors: list[JSON] = []
    for given in records.inputs(call, MOST_READ):
        key = records.input_id(given)
        after = as_text(given.get("after"))
        found = labelled_page(call, ends, key, after, LARGEST_PAGE)
        if not found["results"] or _hidden(call, ends[0].records.get(key)):
            gone = ApiError(404, f"No {ends[1].plural} are associated with {ends[0].plural}"
                            f" {key}.", "OBJECT_NOT_FOUND", subCategory="crm.associations."
                            "NO_ASSOCIATIONS_FOUND")  # fmt: skip
            errors.append(records.problem(gone, {"fromObjectId": [key]}))
            continue
        to: JSON = typed_rows(call, ends, key) if v3 else found["results"]
        result: dict[str, JSON] = {"from": {"id": key}, "to": to}
        if "paging" in found:
            result["paging"] = found["paging"]
        results.append(result)
    return completed(call, results, errors, 200)


def _hidden(call: Call, origin: Record | None) -> bool:
    if origin is None or call.switches.associations_of_archived:
        return False
    return origin.archived is not None


PATHS: Final[list[Path]] = below(
    ("/crm/v3/associations", "/crm/v4/associations", "/crm/associations/{version}"),
    (
        ("POST", "/{from}/{to}/batch/create", batch_create),
        ("POST", "/{from}/{to}/batch/associate/default", batch_default),
        ("POST", "/{from}/{to}/batch/archive", batch_archive),
        ("POST", "/{from}/{to}/batch/labels/archive", batch_archive_labels),
        ("POST", "/{from}/{to}/batch/read", batch_read),
    ),
)

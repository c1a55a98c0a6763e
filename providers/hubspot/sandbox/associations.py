"""Associations, in all their versions: typed (v3), labelled (v4), default, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from providers.hubspot.sandbox import links, records
from providers.hubspot.sandbox.batch import completed
from providers.hubspot.sandbox.errors import ApiError, invalid
from providers.hubspot.sandbox.links import Wanted
from providers.hubspot.sandbox.objects import PREFIXES, page
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import AssociationType, ObjectKind
from providers.hubspot.sandbox.values import as_text
from providers.record import JSON

MOST: Final = 2_000
MOST_READ: Final = 1_000
_LARGEST_PAGE: Final = 500

Ends = tuple[ObjectKind, ObjectKind]


def ends_of(call: Call, access: str) -> Ends:
    return call.kind(access, "from"), call.kind(access, "to")


def _number(call: Call, key: str) -> JSON:
    """An id in a v4 answer: HubSpot's pages show numbers, its descriptions strings."""
    return int(key) if call.switches.numeric_association_ids and key.isdecimal() else key


def _pair(ends: Ends, from_id: str, to_id: str) -> tuple[str, str]:
    """The ids of two live records, merged ones followed. Raises ApiError."""
    return links.record(ends[0], from_id).id, links.record(ends[1], to_id).id


def _add(call: Call, ends: Ends, pair: tuple[str, str], types: Iterable[int]) -> None:
    links.add(call, Wanted(*ends, pair[1], tuple(types)), pair[0])


# --- single -----------------------------------------------------------------------------


def associate_typed(call: Call) -> Answer:
    """PUT …/associations/{to}/{id}/{type id or name}: the record with its associations."""
    ends = ends_of(call, "write")
    pair = _pair(ends, call.variables["from_id"], call.variables["to_id"])
    _add(call, ends, pair, [_type_named(call, ends, call.variables["association_type"]).id])
    origin = ends[0].records[pair[0]]
    shown = records.shown(call, ends[0], origin)
    linked: list[JSON] = [
        {"id": to_id, "type": each.name}
        for to_id, types in links.of_record(call.portal, ends[0], pair[0], ends[1])
        for each in types
    ]
    return 200, {**shown, "associations": {ends[1].plural: {"results": linked}}}


def dissociate_typed(call: Call) -> Answer:
    ends = ends_of(call, "write")
    type_ = _type_named(call, ends, call.variables["association_type"])
    links.remove(call, ends, _path_pair(call), [type_.id])
    return EMPTY


def _type_named(call: Call, ends: Ends, named: str) -> AssociationType:
    for each in links.types_between(call.portal, *ends):
        if named in (str(each.id), each.name):
            return each
    raise invalid(f"{named} is not a valid association type between {ends[0].plural} and"
                  f" {ends[1].plural}")  # fmt: skip


def associate_default(call: Call) -> Answer:
    ends = ends_of(call, "write")
    pair = _pair(ends, call.variables["from_id"], call.variables["to_id"])
    _add(call, ends, pair, [links.default_type(call.portal, *ends).id])
    return completed(call, _both_directions(call, ends, pair), [], 200)


def _both_directions(call: Call, ends: Ends, pair: tuple[str, str]) -> list[JSON]:
    there, back = (
        links.default_type(call.portal, *each) for each in (ends, (ends[1], ends[0]))
    )
    return [
        {
            "from": {"id": one},
            "to": {"id": other},
            "associationSpec": {
                "associationCategory": type_.category,
                "associationTypeId": type_.id,
            },
        }
        for one, other, type_ in ((*pair, there), (pair[1], pair[0], back))
    ]


def associate(call: Call) -> Answer:
    """PUT …/associations/{to}/{id} with an array of types."""
    ends = ends_of(call, "write")
    types = links.type_ids(call.portal, ends, call.any_body)
    pair = _pair(ends, call.variables["from_id"], call.variables["to_id"])
    _add(call, ends, pair, types)
    return 201, _between(call, ends, pair, types)


def _between(call: Call, ends: Ends, pair: tuple[str, str], types: Iterable[int]) -> JSON:
    known = {t.id: t.label for t in links.types_between(call.portal, *ends)}
    return {
        "fromObjectTypeId": ends[0].id,
        "fromObjectId": _number(call, pair[0]),
        "toObjectTypeId": ends[1].id,
        "toObjectId": _number(call, pair[1]),
        "labels": [label for t in types if (label := known.get(t))],
    }


def dissociate(call: Call) -> Answer:
    ends = ends_of(call, "write")
    links.remove(call, ends, _path_pair(call))
    return EMPTY


def _path_pair(call: Call) -> tuple[str, str]:
    return call.variables["from_id"], call.variables["to_id"]


def list_typed(call: Call) -> Answer:
    """v3: one row per type of each associated record."""
    ends = ends_of(call, "read")
    origin = links.record(ends[0], call.variables["from_id"])
    found: list[JSON] = [
        {"id": to_id, "type": each.name}
        for to_id, types in links.of_record(call.portal, ends[0], origin.id, ends[1])
        for each in types
    ]
    return 200, {"results": found}


def list_labelled(call: Call) -> Answer:
    """v4: one row per associated record, with its types and labels."""
    ends = ends_of(call, "read")
    origin = links.record(ends[0], call.variables["from_id"])
    return 200, _labelled_page(call, ends, origin.id, call.option("after"), _limit(call))


def _limit(call: Call) -> int:
    return page(call, _LARGEST_PAGE, _LARGEST_PAGE)


def _labelled_page(
    call: Call, ends: Ends, from_id: str, after: str, limit: int
) -> dict[str, JSON]:
    if after and not after.isdecimal():
        raise invalid("Invalid paging cursor: after must be an integer")
    found = sorted(
        links.of_record(call.portal, ends[0], from_id, ends[1]), key=lambda each: int(each[0])
    )
    rest = [each for each in found if int(each[0]) >= int(after or 0)]
    results: list[JSON] = [
        {
            "toObjectId": _number(call, to_id),
            "associationTypes": [
                {"category": t.category, "typeId": t.id, "label": t.label} for t in types
            ],
        }
        for to_id, types in rest[:limit]
    ]
    body: dict[str, JSON] = {"results": results}
    if len(rest) > limit:
        body["paging"] = {"next": {"after": rest[limit][0]}}
    return body


# --- batches ----------------------------------------------------------------------------


def batch_create(call: Call) -> Answer:
    """v3 (`type`) and v4 (`types`): what fails is listed, the rest is done."""
    ends = ends_of(call, "write")
    v3 = "/v3/" in call.request.path

    def one(given: dict[str, JSON]) -> list[JSON]:
        if v3:
            types: tuple[int, ...] = (_type_named(call, ends, as_text(given.get("type"))).id,)
        else:
            types = links.type_ids(call.portal, ends, given.get("types"))
        pair = _pair(ends, _end(given, "from"), _end(given, "to"))
        _add(call, ends, pair, types)
        if v3:
            return [{"from": {"id": pair[0]}, "to": {"id": pair[1]}, "type": given["type"]}]
        return [_between(call, ends, pair, types)]

    return _each(call, one, 201)


def batch_default(call: Call) -> Answer:
    ends = ends_of(call, "write")
    default = links.default_type(call.portal, *ends)

    def one(given: dict[str, JSON]) -> list[JSON]:
        pair = _pair(ends, _end(given, "from"), _end(given, "to"))
        _add(call, ends, pair, [default.id])
        return _both_directions(call, ends, pair)

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
        found = _labelled_page(call, ends, key, after, _LARGEST_PAGE)
        if not found["results"]:
            gone = ApiError(404, f"No {ends[1].plural} are associated with {ends[0].plural}"
                            f" {key}.", "OBJECT_NOT_FOUND", subCategory="crm.associations."
                            "NO_ASSOCIATIONS_FOUND")  # fmt: skip
            errors.append(records.problem(gone, {"fromObjectId": [key]}))
            continue
        to: JSON = _v3_rows(call, ends, key) if v3 else found["results"]
        result: dict[str, JSON] = {"from": {"id": key}, "to": to}
        if "paging" in found:
            result["paging"] = found["paging"]
        results.append(result)
    return completed(call, results, errors, 200)


def _v3_rows(call: Call, ends: Ends, key: str) -> JSON:
    return [
        {"id": to_id, "type": each.name}
        for to_id, types in links.of_record(call.portal, ends[0], key, ends[1])
        for each in types
    ]


_OF: Final = "/{from}/{from_id}/associations"
PATHS: Final[list[Path]] = [
    *below(
        (*PREFIXES, "/crm/v4/objects"),
        (
            ("PUT", f"{_OF}/{{to}}/{{to_id}}/{{association_type}}", associate_typed),
            ("DELETE", f"{_OF}/{{to}}/{{to_id}}/{{association_type}}", dissociate_typed),
        ),
    ),
    ("GET", f"/crm/v3/objects{_OF}/{{to}}", list_typed),
    *below(
        ("/crm/objects/{version}", "/crm/v4/objects"),
        (
            ("GET", f"{_OF}/{{to}}", list_labelled),
            ("PUT", f"{_OF}/default/{{to}}/{{to_id}}", associate_default),
            ("PUT", f"{_OF}/{{to}}/{{to_id}}", associate),
            ("DELETE", f"{_OF}/{{to}}/{{to_id}}", dissociate),
        ),
    ),
    *below(
        ("/crm/v3/associations", "/crm/v4/associations", "/crm/associations/{version}"),
        (
            ("POST", "/{from}/{to}/batch/create", batch_create),
            ("POST", "/{from}/{to}/batch/associate/default", batch_default),
            ("POST", "/{from}/{to}/batch/archive", batch_archive),
            ("POST", "/{from}/{to}/batch/labels/archive", batch_archive_labels),
            ("POST", "/{from}/{to}/batch/read", batch_read),
        ),
    ),
]

"""Associations one at a time, in all their versions: typed (v3), labelled (v4), default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from providers.hubspot.sandbox import links, records
from providers.hubspot.sandbox.batch import completed
from providers.hubspot.sandbox.errors import invalid
from providers.hubspot.sandbox.links import Ends, Wanted
from providers.hubspot.sandbox.objects import PREFIXES, page
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import AssociationType
from providers.record import JSON

LARGEST_PAGE: Final = 500


def ends_of(call: Call, access: str) -> Ends:
    return call.kind(access, "from"), call.kind(access, "to")


def _number(call: Call, key: str) -> JSON:
    """An id in a v4 answer: HubSpot's pages show numbers, its descriptions strings."""
    return int(key) if call.switches.numeric_association_ids and key.isdecimal() else key


def live_pair(ends: Ends, from_id: str, to_id: str) -> tuple[str, str]:
    """The ids of two live records, merged ones followed. Raises ApiError."""
    return links.record(ends[0], from_id).id, links.record(ends[1], to_id).id


def add_pair(call: Call, ends: Ends, pair: tuple[str, str], types: Iterable[int]) -> None:
    links.add(call, Wanted(*ends, pair[1], tuple(types)), pair[0])


# --- single -----------------------------------------------------------------------------


def associate_typed(call: Call) -> Answer:
    """PUT …/associations/{to}/{id}/{type id or name}: the record with its associations."""
    ends = ends_of(call, "write")
    pair = live_pair(ends, call.variables["from_id"], call.variables["to_id"])
    add_pair(call, ends, pair, [type_named(call, ends, call.variables["association_type"]).id])
    shown = records.shown(call, ends[0], ends[0].records[pair[0]])
    linked = typed_rows(call, ends, pair[0])
    return 200, {**shown, "associations": {ends[1].plural: {"results": linked}}}


def dissociate_typed(call: Call) -> Answer:
    ends = ends_of(call, "write")
    type_ = type_named(call, ends, call.variables["association_type"])
    links.remove(call, ends, _path_pair(call), [type_.id])
    return EMPTY


def type_named(call: Call, ends: Ends, named: str) -> AssociationType:
    for each in links.types_between(call.portal, *ends):
        if named in (str(each.id), each.name):
            return each
    raise invalid(f"{named} is not a valid association type between {ends[0].plural} and"
                  f" {ends[1].plural}")  # fmt: skip


def associate_default(call: Call) -> Answer:
    ends = ends_of(call, "write")
    pair = live_pair(ends, call.variables["from_id"], call.variables["to_id"])
    add_pair(call, ends, pair, [links.default_type(call.portal, *ends).id])
    return completed(call, both_directions(call, ends, pair), [], 200)


def both_directions(call: Call, ends: Ends, pair: tuple[str, str]) -> list[JSON]:
    """The default association of a pair, as it is shown from both of its ends."""
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
    pair = live_pair(ends, call.variables["from_id"], call.variables["to_id"])
    add_pair(call, ends, pair, types)
    return 201, between(call, ends, pair, types)


def between(call: Call, ends: Ends, pair: tuple[str, str], types: Iterable[int]) -> JSON:
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
    return 200, {"results": typed_rows(call, ends, origin.id)}


def typed_rows(call: Call, ends: Ends, from_id: str) -> list[JSON]:
    return [
        {"id": to_id, "type": each.name}
        for to_id, types in links.of_record(call.portal, ends[0], from_id, ends[1])
        for each in types
    ]


def list_labelled(call: Call) -> Answer:
    """v4: one row per associated record, with its types and labels."""
    ends = ends_of(call, "read")
    origin = links.record(ends[0], call.variables["from_id"])
    return 200, labelled_page(call, ends, origin.id, call.option("after"), _limit(call))


def _limit(call: Call) -> int:
    return page(call, LARGEST_PAGE, LARGEST_PAGE)


def labelled_page(
    call: Call, ends: Ends, from_id: str, after: str, limit: int
) -> dict[str, JSON]:
    """A page of v4 associations of one record, with every label."""
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
]

"""What a write of associations, or a call with effects, is meant to do at HubSpot.

Where the request names both records, the draft is of their pair. Both records are touched
as well: their computed properties follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from providers.drafting import json_of, touch, with_faults
from providers.http import Request
from providers.hubspot.associations import Ends, Link, ends_of, link_of, links_of
from providers.hubspot.batches import PAIRS, asked_inputs
from providers.hubspot.objects import find_objects, is_pair
from providers.record import JSON, Schema
from providers.spec import Draft, Drafter, DraftKind

Variables = Mapping[str, str]
Drafts = tuple[Draft, ...]

_PAIR: Final = '{"from": {"id": …}, "to": {"id": …}}'
_TYPES: Final = '[{"associationCategory": …, "associationTypeId": …}]'


# --- one association --------------------------------------------------------------------


def associated(_request: Request, variables: Variables, schema: Schema) -> Drafts:
    """PUT of one association by its type, or by the default type."""
    return _single(DraftKind.UPSERT, variables, schema)


def associated_with_labels(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """PUT of one association; the body lists its types."""
    body = json_of(request)
    told = _single(DraftKind.UPSERT, variables, schema)
    if not told or (isinstance(body, list) and body):
        return told
    return with_faults(told, (f"The body lists no types. Send {_TYPES} as JSON.",), told[0])


def dissociated(_request: Request, variables: Variables, schema: Schema) -> Drafts:
    """DELETE of one association with all its labels."""
    return _single(DraftKind.DELETE, variables, schema)


def type_dissociated(_request: Request, variables: Variables, schema: Schema) -> Drafts:
    """DELETE of one association type: the pair may live on by another."""
    return _single(DraftKind.TOUCH, variables, schema)


def _single(kind: DraftKind, variables: Variables, schema: Schema) -> Drafts:
    ends = ends_of(variables, schema)
    if ends is None:
        return ()
    link = link_of(variables)
    return (*_of_link(kind, ends, link), *_records(ends, [link]))


def _of_link(kind: DraftKind, ends: Ends, link: Link) -> Iterable[Draft]:
    left, right = ends.pair.key
    for key in dict.fromkeys(ends.keys(link)):
        sets: dict[str, JSON] = {left: key[0], right: key[1]}
        yield Draft(ends.pair.id, kind, key, values=sets if kind is DraftKind.UPSERT else {})


def _records(ends: Ends, links: Iterable[Link]) -> Iterable[Draft]:
    found: dict[tuple[str, str], None] = {}
    for link in links:
        found[ends.origin.id, link.from_id] = None
        found[ends.target.id, link.to_id] = None
    for collection, key in found:
        yield Draft(collection, DraftKind.TOUCH, (key,))


# --- batches ----------------------------------------------------------------------------


def batch(kind: DraftKind, needs: str = "") -> Drafter:
    """A batch of associations. `needs` is the member that each input has to have, beside
    both ends; where it is "types", version 3 has "type" in its place."""

    def draft(request: Request, variables: Variables, schema: Schema) -> Drafts:
        inputs, faults = asked_inputs(request, _PAIR, PAIRS)
        ends = ends_of(variables, schema)
        if ends is None:
            return ()
        member = "type" if needs and "/v3/" in request.path else needs
        links: list[Link] = []
        told: list[Draft] = []
        for given in inputs:
            named = [*links_of(given)]
            drafts: Iterable[Draft] = [d for each in named for d in _of_link(kind, ends, each)]
            whole = Draft(ends.pair.id, DraftKind.TOUCH)
            told += with_faults([*drafts], _faults(given, named, member), whole)
            links += named
        whole = Draft(ends.pair.id, kind)
        return (*with_faults(told, faults, whole), *_records(ends, links))

    return draft


def _faults(given: Mapping[str, JSON], named: list[Link], member: str) -> tuple[str, ...]:
    faults = []
    if not named and not _may_be_named(given):
        faults.append(f"An input does not name both records. Send {_PAIR}.")
    if member and not given.get(member):
        faults.append(f"An input needs `{member}`, the type of its association.")
    return tuple(faults)


def _may_be_named(given: Mapping[str, JSON]) -> bool:
    """Whether both ends have some id, of whatever type."""
    to = given.get("to")
    ends = [given.get("from"), *(to if isinstance(to, list) else [to])]
    return all(isinstance(end, dict) and end.get("id") not in (None, "") for end in ends)


# --- effects ----------------------------------------------------------------------------


def nothing(_request: Request, _variables: Variables, _schema: Schema) -> Drafts:
    """Changes nothing that a row of ours shows."""
    return ()


def touched(*spellings: str) -> Drafter:
    """Any record of these types, or of the type that the path names, may change."""

    def draft(_request: Request, variables: Variables, schema: Schema) -> Drafts:
        named = spellings or (variables.get("type", ""),)
        found = (find_objects(schema, spelling) for spelling in named)
        return touch(collection.id for collection in found if collection is not None)

    return draft


def pairs_touched(_request: Request, _variables: Variables, schema: Schema) -> Drafts:
    """Any association may change."""
    return touch(collection.id for collection in schema.collections if is_pair(collection))


def relabelled(_request: Request, variables: Variables, schema: Schema) -> Drafts:
    """The labels of a pair's associations may change."""
    ends = ends_of(variables, schema)
    return () if ends is None else touch((ends.pair.id,))

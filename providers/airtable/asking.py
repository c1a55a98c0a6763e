"""What a write to Airtable asks for: its records, and how they are to be taken.

Airtable takes one record at the top of the body or up to ten under `records`, as JSON or
as a form (`fields[Name]=…`). A form has nothing but texts, of which Airtable makes what it
can, so of its values not much can be said before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from providers.body import content, storable_text
from providers.drafting import json_of, objects_in
from providers.http import Request
from providers.record import JSON
from providers.spec import Unreadable

BATCH: Final = 10  # records in a call

_FORM: Final = "application/x-www-form-urlencoded"
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\]){0,5})")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_TRUE: Final = (True, 1, "1", "true")
_SHAPE: Final = 'Send {"fields": {…}}, or {"records": [{"fields": {…}}, …]}, as JSON.'


@dataclass(frozen=True, slots=True)
class Asked:
    """The records of a write, as they were sent; `faults` are those of the whole.

    `typecast`: Airtable is to make of the values what it can. `merge_on` is what
    `performUpsert` holds, None if it is not asked for; `single`: one record at the top.
    """

    records: tuple[dict[str, JSON], ...] = ()
    faults: tuple[str, ...] = ()
    typecast: bool = False
    merge_on: JSON = None
    upsert: bool = False
    single: bool = False


def asked_records(request: Request) -> Asked:
    """What a request that writes records asks for. Raises Unreadable."""
    as_form = _is_form(request)
    body = _form(request) if as_form else json_of(request)
    if body is None:
        return Asked(faults=(f"The body is empty. {_SHAPE}",))
    if not isinstance(body, dict):
        return Asked(faults=(f"The body is not a JSON object. {_SHAPE}",))
    single = "records" not in body
    records, faults = objects_in(
        [body] if single else body["records"], "records", "Airtable", BATCH, _SHAPE
    )
    perform = body.get("performUpsert")
    return Asked(
        tuple(records),
        faults,
        typecast=as_form or body.get("typecast") in _TRUE,
        merge_on=perform.get("fieldsToMergeOn") if isinstance(perform, dict) else None,
        upsert="performUpsert" in body,
        single=single,
    )


def asked_ids(request: Request) -> tuple[str, ...]:
    """The ids of a delete of several: in the query with or without brackets, or in a form.

    Raises Unreadable.
    """
    pairs: list[tuple[str, str]] = list(request.query)
    if _is_form(request):
        pairs += _pairs(request)
    ids = (storable_text(value) for name, value in pairs if name.partition("[")[0] == "records")
    return tuple(dict.fromkeys(i for i in ids if i))


def _is_form(request: Request) -> bool:
    # curl calls a JSON body a form, too, unless it is told otherwise.
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == _FORM and not content(request).lstrip().startswith((b"{", b"["))


def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(content(request).decode(), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError) as error:
        raise Unreadable("the body is not a form that can be read") from error


def _form(request: Request) -> JSON:
    """A form as the JSON that it stands for; None if it is empty."""
    tree: dict[str, JSON] = {}
    for name, value in _pairs(request):
        named = _NAME.fullmatch(storable_text(name))
        if named is not None:
            _plant(tree, [named[1], *_PART.findall(named[2])], storable_text(value))
    return _listed(tree) if tree else None


def _plant(tree: dict[str, JSON], path: list[str], value: str) -> None:
    """Puts a value where its name says; `[]` goes on counting."""
    *parents, last = path
    for part in parents:
        below = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(below, dict):
            return  # the same name for a value and for what holds values
        tree = below
    tree[last or str(len(tree))] = value


def _listed(value: JSON) -> JSON:
    """Objects with nothing but numbers for names are lists."""
    if not isinstance(value, dict):
        return value
    below = {name: _listed(each) for name, each in value.items()}
    if below and all(name.isdecimal() and name.isascii() for name in below):
        return list(below.values())
    return below

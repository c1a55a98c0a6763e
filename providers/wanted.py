"""What a mutation asks for, read from how its caller spelled it.

Fields are named by their ids, their names or their columns. Values are checked and spelled
as the API takes them, so that what cannot be meant is found before anything is sent, and
told member by member. What only the API knows (permissions, options, records that are gone)
is left to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from providers.mutating import Aim, MutationDialect, MutationKind, Wanted
from providers.plain import public_names
from providers.record import JSON, Collection, ColumnType, Field, Schema
from providers.values import Misfit, fit
from providers.wording import Names, listing, quoted

MOST_FAULTS: Final = 100
LONGEST_KEY: Final = 500  # characters of a record's id

_NO_SCHEMA: Final = Schema(())


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a mutation, and the remedy; `member` says where: `data[3].Name`."""

    member: str
    said: str


class Faulty(ValueError):
    """A mutation that the API cannot be asked for, with everything that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.member}: {fault.said}" for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Asked:
    """A mutation as its caller spelled it. `match`: names of the fields to find records by.

    columns   names of columns -> field ids, as further spellings
    schema    of the sync, with the collections that records can be associated with
    typecast  the API is to make of any value what its field can hold
    """

    collection: Collection
    kind: MutationKind
    records: Sequence[JSON]
    match: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    schema: Schema = _NO_SCHEMA
    typecast: bool = False


def wanted(asked: Asked, api: MutationDialect) -> tuple[Aim, tuple[Wanted, ...]]:
    """What the API is to be asked for.

    Raises Faulty, which names every member that is wrong, up to a hundred of them.
    """
    return _Reader(asked, api).read()


class _Reader:
    """Reads one mutation; what is wrong gathers in `_faults`."""

    def __init__(self, asked: Asked, api: MutationDialect) -> None:
        self._asked = asked
        self._api = api
        self._names = Names("field")
        self._faults: list[Fault] = []
        self._known = _spellings(asked)
        self._members = api.members(asked.collection, asked.schema)
        # An association is named by its two records, whatever is done to it.
        keyed = asked.kind in (MutationKind.UPDATE, MutationKind.DELETE)
        self._is_pair = len(asked.collection.key) > 1
        self._needs_key = keyed or self._is_pair

    def read(self) -> tuple[Aim, tuple[Wanted, ...]]:
        """Everything that is asked for. Raises Faulty."""
        asked = self._asked
        kinds = self._api.kinds(asked.collection)
        if asked.kind not in kinds:
            there = listing([kind.value for kind in MutationKind if kind in kinds])
            of = quoted(asked.collection.name)
            said = f"{of} takes no {asked.kind}; it takes: {there}."
            raise Faulty([Fault("kind", said)])
        self._typecast()
        match = self._match()
        found = []
        for place, record in enumerate(asked.records):
            one = self._record(place, record, match)
            if one is not None:
                found.append(one)
            if len(self._faults) >= MOST_FAULTS:
                break
        if self._faults:
            raise Faulty(self._faults[:MOST_FAULTS])
        merged = tuple(each.id for each in match)
        return Aim(asked.collection, asked.kind, merged, asked.typecast), tuple(found)

    def _typecast(self) -> None:
        if not self._asked.typecast:
            return
        if not self._api.typecasts:
            self._fault("typecast", "is no option of this API: leave it out.")
        elif self._asked.kind is MutationKind.DELETE:
            self._fault("typecast", "is for values that are written: leave it out.")

    def _match(self) -> list[Field]:
        found: list[Field] = []
        asked, most = self._asked, self._api.most_match
        if asked.kind is not MutationKind.UPSERT or self._is_pair:
            if asked.match:
                self._fault("match", "is for the kind upsert alone: leave it out.")
            return found
        if not 1 <= len(asked.match) <= most:
            many = "one field" if most == 1 else f"1 to {most} fields"
            self._fault("match", f"must name {many} that records are found by.")
        for at, name in enumerate(asked.match):
            known = self._field(f"match[{at}]", name)
            if known in found:
                self._fault(f"match[{at}]", f"{quoted(name)} is named twice: name it once.")
            elif known is not None:
                found.append(known)
        return found

    def _record(self, place: int, record: JSON, match: Sequence[Field]) -> Wanted | None:
        where = f"data[{place}]"
        if isinstance(record, str) and self._asked.kind is MutationKind.DELETE:
            record = {"id": record}
        if not isinstance(record, dict):
            self._fault(where, "must be an object of field names and values.")
            return None
        given = dict(record)
        key = self._key(where, given)
        more = self._more(where, given)
        values = self._values(where, given)
        for each in match:
            if values.get(each.id) in (None, "", []):
                told = "is what the record is found by: give it a value."
                self._fault(f"{where}.{each.name}", told)
        return Wanted(place, key, values, more)

    def _more(self, where: str, given: dict[str, JSON]) -> Mapping[str, JSON]:
        """What is asked for beside the fields, taken out of `given`. A field that can be
        written keeps its name."""
        found: dict[str, JSON] = {}
        for name, reading in self._members.items():
            known = self._known.get(name)
            if name not in given or (known is not None and known.writable):
                continue
            value, member = given.pop(name), f"{where}.{name}"
            if not self._may_have_more:
                self._fault(member, "is for records that are created: leave it out.")
                continue
            try:
                found[name] = reading(value)
            except ValueError as error:
                self._fault(member, f"{quoted(name)} takes {error}.")
        return found

    @property
    def _may_have_more(self) -> bool:
        kind = self._asked.kind
        return kind is MutationKind.CREATE or (self._is_pair and kind is MutationKind.UPSERT)

    def _key(self, where: str, given: dict[str, JSON]) -> tuple[str, ...] | None:
        """What names the record, taken out of `given`."""
        spelled = given.pop("id", None)
        if not self._needs_key:
            if spelled is not None:
                self._fault(f"{where}.id", self._no_key_said())
            return None
        fields = [self._asked.collection.by_id[each] for each in self._asked.collection.key]
        if self._is_pair:
            ends = [self._end(given, each) for each in fields]
            spelled = ":".join(ends) if all(ends) else spelled
        text = str(spelled) if isinstance(spelled, int) else spelled
        if isinstance(spelled, bool) or not isinstance(text, str) or not _is_key(text):
            needed = " and ".join(_shortest(each) for each in fields)
            self._fault(f"{where}.id", f"names the record: give {needed}, as text.")
            return None
        parts = tuple(text.split(":")) if self._is_pair else (text,)
        if len(parts) != len(fields) or not all(parts):
            self._fault(f"{where}.id", 'names two records: give their ids as "17:512".')
            return None
        return parts

    def _no_key_said(self) -> str:
        own = self._asked.collection.by_name.get("id")
        hint = ""
        if own is not None:
            other = public_names(self._asked.collection)[own.id]
            hint = f" The field of this name is written as {quoted(other)}."
        if self._asked.kind is MutationKind.UPSERT:
            return f"records are found by `match`: leave it out, or use the kind update.{hint}"
        return f"is chosen by the API: leave it out.{hint}"

    def _end(self, given: dict[str, JSON], end: Field) -> str:
        """One of the two ids that name an association."""
        for name in (end.column_name, end.id, end.name):
            value = given.pop(name, None) if name else None
            if isinstance(value, str | int) and not isinstance(value, bool):
                return str(value)
        return ""

    def _values(self, where: str, given: Mapping[str, JSON]) -> Mapping[str, JSON]:
        values: dict[str, JSON] = {}
        if self._asked.kind is MutationKind.DELETE and given:
            self._fault(where, "a record that is deleted takes its `id` alone.")
            return values
        for name, value in given.items():
            member = f"{where}.{name[:100]}"
            known = self._field(member, name)
            if known is None:
                continue
            if known.id in values:
                self._fault(member, f"{quoted(known.name)} is named twice: name it once.")
            values[known.id] = self._value(member, known, value)
        return values

    def _field(self, member: str, name: str) -> Field | None:
        """The field of this name, if it is one that can be written."""
        known = self._known.get(name)
        if known is None:
            collection = self._asked.collection
            where = quoted(collection.name)
            said = self._names.unknown(name, collection.by_name, where)
            self._fault(member, f"{said} If it is new, refresh the collections first.")
        elif not known.writable:
            self._fault(member, f"{quoted(known.name)} is read-only: leave it out.")
            return None
        return known

    def _value(self, member: str, known: Field, value: JSON) -> JSON:
        try:
            spelled = self._spelled(known, value)
            orjson.dumps(spelled)
        except Misfit:
            said = _TAKES.get(known.column_type, "another value")
        except ValueError as error:
            said = str(error)
        except TypeError:  # half a surrogate pair, an integer of more than 64 bits
            said = "a value that JSON can hold"
        else:
            return spelled
        self._fault(member, f"{quoted(known.name)} takes {said}.")
        return None

    def _spelled(self, known: Field, value: JSON) -> JSON:
        """The value as the API takes it. Raises Misfit, ValueError."""
        try:
            fitting = fit(known.column_type, value)
        except Misfit:
            if not self._asked.typecast:
                raise
            return value  # what becomes of it is the API's to say
        return self._api.written(known, fitting)

    def _fault(self, member: str, said: str) -> None:
        self._faults.append(Fault(member, said))


_TAKES: Final[Mapping[ColumnType, str]] = {
    ColumnType.TEXT: "a text",
    ColumnType.NUMERIC: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: 'a date, such as "2026-12-24"',
    ColumnType.TIMESTAMPTZ: 'a moment, such as "2026-12-24T09:30:00Z"',
    ColumnType.TEXT_ARRAY: "a list of texts",
}


def _spellings(asked: Asked) -> Mapping[str, Field]:
    """Every name of a field -> the field: an id wins over a name, a name over a column.

    Of names, those win under which records are told (`providers.plain`).
    """
    collection = asked.collection
    by_id = collection.by_id
    columns = {name: by_id[i] for name, i in asked.columns.items() if i in by_id}
    public = {name: by_id[i] for i, name in public_names(collection).items()}
    return {**columns, **collection.by_name, **public, **by_id}


def _is_key(text: str) -> bool:
    return 0 < len(text) <= LONGEST_KEY and text.isprintable() and text.strip() == text


def _shortest(each: Field) -> str:
    return f"`{each.column_name or each.name}`"

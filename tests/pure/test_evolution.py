"""The plan by which a table follows its collection, as values in and values out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from httpproxy.store.layouts.evolution import Kept, Plan, Present, layout, plan, widens
from httpproxy.store.layouts.tables import free_name, is_named_after
from providers.record import Collection, ColumnType, Field
from providers.values import Misfit, fit

T = ColumnType
ID = Field("$id", "id", "id", T.TEXT, column_name="id")


def collection(*fields: Field) -> Collection:
    return Collection("c", "C", (ID, *fields))


def of(name: str, type_: ColumnType = T.TEXT, field_id: str = "f") -> Field:
    return Field(field_id, name, type_.value, type_)


def present(kept: tuple[Kept, ...], *more: str) -> Present:
    return Present(frozenset({k.column for k in kept if k.column}.union(more)))


def followed(kept: tuple[Kept, ...], taken: Plan) -> tuple[Kept, ...]:
    """What the registry has after the plan."""
    now = {k.field.id: k for k in taken.fields}
    gone = (replace(k, removed=True) for k in kept if k.field.id not in now)
    return (*taken.fields, *gone)


NAMES = st.text("abAB _-ö1", max_size=6)
FIELDS = st.lists(
    st.builds(of, NAMES, st.sampled_from(list(T)), st.sampled_from("uvwxyz")),
    max_size=5,
    unique_by=lambda field: field.id,
)


@given(st.lists(FIELDS, min_size=1, max_size=5), st.sets(st.sampled_from("uvwxyz")))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_upstream_nothing_narrows_unasked_and_each_plan_settles(
    history: list[list[Field]], accepted: set[str]
) -> None:
    kept: tuple[Kept, ...] = ()
    for fields in history:
        found = collection(*fields)
        taken = plan(kept, found, present(kept), accepted)
        for retype in taken.retypes:
            asked = retype.column.field.id in accepted
            assert asked or widens(retype.column.field.column_type, retype.to)
        before, kept = kept, followed(kept, taken)
        columns = [k.column for k in kept if k.column]
        assert len(columns) == len(set(columns))
        assert len(columns) >= sum(k.column is not None for k in before), "none is dropped"
        again = plan(kept, found, present(kept), accepted)
        assert not again.changed
        assert not again.reread
        assert (again.renames, again.relabels, again.retypes, again.added) == ((),) * 4
        for k in taken.fields:
            asked_for = next(f for f in found.fields if f.id == k.field.id).column_type
            assert (k.pending or k.field.column_type) is asked_for


@given(NAMES, NAMES.filter(bool), st.lists(NAMES, max_size=6))
def test_a_name_that_was_given_is_known_as_such(
    wanted: str, fallback: str, others: list[str]
) -> None:
    taken: set[str] = set()
    for other in (*others, wanted, wanted, wanted):
        name = free_name(other, fallback, taken)
        taken.add(name)
        assert is_named_after(name, other, fallback)
    assert not is_named_after("quite_another", wanted, fallback)


def test_a_long_name_that_was_cut_is_known_as_such() -> None:
    long = "x" * 80
    names = [free_name(long, "f", ())]
    names += [free_name(long, "f", names), free_name(long, "f", [*names, "x" * 62 + "_"])]
    assert all(is_named_after(name, long, "f") for name in names)


def test_a_locked_name_stays_and_follows_once_it_is_unlocked() -> None:
    kept = (Kept(ID, "id"), Kept(of("Old"), "old", locked=True))
    taken = plan(kept, collection(of("New")), present(kept))
    assert taken.renames == ()
    assert taken.relabels == (("Old", "New"),), "values in _extra follow the field"
    assert taken.fields[1].column == "old"
    kept = tuple(replace(k, locked=False) for k in taken.fields)
    later = plan(kept, collection(of("New")), present(kept))
    assert later.renames == (("old", "new"),)
    assert later.changed


def test_a_new_field_does_not_take_a_locked_name() -> None:
    kept = (Kept(ID, "id"), Kept(of("Name"), "name", locked=True))
    taken = plan(kept, collection(of("Title"), of("Name", field_id="g")), present(kept))
    assert [k.column for k in taken.fields] == ["id", "name", "name_"]


def test_what_depends_on_a_column_keeps_its_type_even_if_that_is_accepted() -> None:
    kept = (Kept(ID, "id"), Kept(of("A", T.NUMERIC), "a"))
    shown = replace(present(kept), dependents={"a": ("public.mine",)})
    for to in (T.TEXT, T.BOOLEAN):
        taken = plan(kept, collection(of("A", to)), shown, {"f"})
        assert taken.retypes == ()
        assert [(r.column.name, r.to) for r in taken.waiting] == [("a", to)]


def test_a_renamed_column_is_held_by_what_shows_it_under_its_old_name() -> None:
    kept = (Kept(ID, "id"), Kept(of("A", T.NUMERIC), "a"))
    shown = replace(present(kept), dependents={"a": ("public.mine",)})
    taken = plan(kept, collection(of("B", T.TEXT)), shown)
    assert taken.renames == (("a", "b"),)
    assert [r.column.name for r in taken.waiting] == ["b"]


def test_a_field_without_room_asks_for_nothing_again_and_again() -> None:
    kept = (Kept(ID, "id"), Kept(of("A"), None))
    full = replace(present(kept), dropped=1500)
    taken = plan(kept, collection(of("A")), full)
    assert (taken.changed, taken.reread, taken.awaiting) == (False, False, ())


def test_a_field_whose_table_has_room_again_gets_its_column() -> None:
    kept = (Kept(ID, "id"), Kept(of("A"), None))
    taken = plan(kept, collection(of("A")), present(kept))
    assert [c.name for c in taken.added] == ["a"]
    assert taken.reread


def test_new_collections_have_their_types_at_once() -> None:
    assert [k.pending for k in layout(collection(of("A", T.JSONB)))] == [None, None]


@given(st.sampled_from(list(T)), st.sampled_from([None, False]))
def test_what_an_omitted_cell_means_fits_the_column_that_waits(
    old: ColumnType, empty: bool | None
) -> None:
    kept = (Kept(ID, "id"), Kept(of("A", old), "a"))
    wanted = replace(of("A", T.BOOLEAN), empty=empty)
    field = plan(kept, collection(wanted), present(kept)).fields[1].field
    try:
        assert fit(field.column_type, field.empty) == field.empty
    except Misfit as misfit:
        raise AssertionError(field) from misfit


CHOICES = st.dictionaries(
    st.sampled_from("uvwxyz"),
    st.sampled_from(["deselected", "own_u", "own_v", "own_w"]),
    max_size=3,
)


def chosen(kept: tuple[Kept, ...], choices: dict[str, str]) -> tuple[Kept, ...]:
    """What the registry has after a user's choices."""
    names = {k.column for k in kept} | {k.own_name for k in kept}
    now: list[Kept] = []
    for k in kept:
        choice = choices.get(k.field.id)
        if choice == "deselected":
            now.append(replace(k, column=None, selected=False))
        elif choice is not None and choice not in names:
            column = choice if k.column else None
            now.append(replace(k, column=column, own_name=choice, locked=True))
            names.add(choice)
        else:
            now.append(k)
    return tuple(now)


@given(st.lists(st.tuples(FIELDS, CHOICES), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_upstream_a_users_choices_stay(
    history: list[tuple[list[Field], dict[str, str]]],
) -> None:
    kept: tuple[Kept, ...] = ()
    for fields, choices in history:
        before = {k.field.id: k for k in kept}
        taken = plan(kept, collection(*fields), present(kept))
        kept = followed(kept, taken)
        again = plan(kept, collection(*fields), present(kept))
        assert not again.changed
        for k in kept:
            old = before.get(k.field.id)
            if old is not None:
                assert (k.selected, k.own_name) == (old.selected, old.own_name)
            assert k.selected or k.column is None
            assert k.own_name is None or k.column in (None, k.own_name)
        assert all(column.name not in taken.unwanted for column in taken.added)
        kept = chosen(kept, choices)


def test_what_is_not_selected_is_not_read_again_whatever_becomes_of_it() -> None:
    kept = (Kept(ID, "id"), Kept(of("A"), None, selected=False))
    taken = plan(kept, collection(of("B", T.JSONB)), present(kept))
    assert (taken.reread, taken.added, taken.relabels) == (False, (), ())
    assert taken.unwanted == ("B",)


def test_a_field_that_is_selected_again_gets_its_column_and_is_read_again() -> None:
    kept = (Kept(ID, "id"), Kept(of("A"), None, locked=True, own_name="mine"))
    taken = plan(kept, collection(of("A")), present(kept))
    assert [column.name for column in taken.added] == ["mine"]
    assert taken.reread

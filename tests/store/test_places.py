"""Cursors are words that lead back to their place, and an event's id to its number."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpproxy.store.streams.event_ids import event_id, seq_of
from httpproxy.store.streams.places import (
    LAST_SEQ,
    LAST_TRANSACTION,
    Place,
)

PLACES = st.builds(
    Place, st.integers(0, 10**12 - 1), st.integers(0, 10**18), st.integers(0, LAST_SEQ)
)


@given(PLACES, st.none() | PLACES)
def test_a_place_is_read_as_it_was_written(bare: Place, since: Place | None) -> None:
    place = replace(bare, since=since)
    text = place.write()
    assert (Place.read(text), Place.read(text).since) == (place, since)
    assert text.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_begins_with_the_number_of_the_event() -> None:
    assert Place(1, 1000, 605).write().startswith("NjA1")


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_other_text_is_taken_for_a_cursor(text: str) -> None:
    try:
        place = Place.read(text)
    except ValueError:
        return
    assert place.write() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NjA1",
        "é",
        "A" * 1000,
        Place(1, 2, 3).write() + "=",
        Place(1, 2, 3).write() + "A",
        Place(1, 2, LAST_SEQ + 1).write(),
        Place(1, LAST_TRANSACTION + 1, 3).write(),
        Place(1, -2, 3).write(),
        Place(1, 2, 3, Place(1, 2, LAST_SEQ + 1)).write(),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Place.read(text)


def test_places_are_ordered_by_era_then_transaction_then_number() -> None:
    places = [Place(2, 1, 1), Place(1, 10, 1), Place(1, 9, 2), Place(1, 9, 1)]
    assert sorted(places) == places[::-1]


@given(st.integers(0, LAST_SEQ))
def test_an_events_id_is_a_uuid_that_leads_to_its_number(seq: int) -> None:
    salt, other = uuid4(), uuid4()
    wanted = event_id(salt, seq)
    assert UUID(wanted).version == 8
    assert str(UUID(wanted)) == wanted
    assert seq_of(salt, wanted) == seq
    assert seq_of(other, wanted) is None
    assert seq_of(salt, "no id at all") is None

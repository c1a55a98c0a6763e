"""When a collection is listed, how, and when a listing is doubted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpproxy.store.sync.states import CollectionState, Compared, Held, Missing, RunKind
from httpproxy.sync.plan import NewRun, SweepPolicy, backoff, mass_delete, wanted

HOUR = 3600.0
PACE = SweepPolicy(6 * HOUR, 0.2, 10)
NEW = CollectionState(
    sync_id="sync_a", number=1, collection="tblA", name="A", table_name="a", run=None,
    held=None, trouble=None, backfilled_at=None, listed_at=None, heard_at=None,
    succeeded_at=None, whole_mark=None, whole_since=None, dirty=0, rows=0, requests={},
    truth=Compared(0, 0, None), wants_thorough=False, removed=False,
)  # fmt: skip
LISTED = replace(NEW, backfilled_at=1000.0, listed_at=1000.0)


def begun(state: CollectionState, now: float) -> NewRun:
    found = wanted(state, PACE, now)
    assert isinstance(found, NewRun)
    return found


def test_what_was_never_listed_is_backfilled() -> None:
    listing = begun(NEW, 0.0)
    assert (listing.kind, listing.thorough) == (RunKind.BACKFILL, True)


def test_what_was_listed_is_swept_when_it_is_time() -> None:
    assert wanted(LISTED, PACE, 1000.0 + HOUR) == 5 * HOUR
    listing = begun(LISTED, 1000.0 + 6 * HOUR)
    assert (listing.kind, listing.thorough) == (RunKind.SWEEP, False)


def test_a_mark_asks_for_a_sweep_that_comes_after_a_rest() -> None:
    marked = replace(LISTED, whole_mark=7, whole_since=1001.0)
    assert wanted(marked, PACE, 1020.0) == 40.0
    assert begun(marked, 1060.0).thorough is False


def test_the_rest_grows_with_the_collection_and_ends_when_a_sweep_is_due_anyway() -> None:
    marked = replace(LISTED, whole_mark=7, whole_since=1001.0)
    assert wanted(replace(marked, rows=20_000), PACE, 1000.0) == 1600.0
    assert wanted(replace(marked, rows=10_000_000), PACE, 1000.0) == 6 * HOUR


def test_a_resync_reads_every_value_and_waits_for_nothing() -> None:
    listing = begun(replace(LISTED, wants_thorough=True), 1000.5)
    assert (listing.kind, listing.thorough) == (RunKind.SWEEP, True)


def test_nothing_is_listed_that_is_held_until_somebody_agrees() -> None:
    held = replace(LISTED, held=Held(20, 30, 1000.0, approved=False))
    assert wanted(held, PACE, 1e9) is None
    agreed = replace(LISTED, held=Held(20, 30, 1000.0, approved=True))
    assert isinstance(wanted(agreed, PACE, 1e9), NewRun)


def test_what_is_gone_upstream_is_not_listed() -> None:
    assert wanted(replace(NEW, removed=True), PACE, 1e9) is None


@pytest.mark.parametrize(
    ("missing", "rows", "doubted"),
    [(10, 10, False), (11, 11, True), (200, 1000, False), (201, 1000, True), (0, 0, False)],
)
def test_a_listing_is_doubted_beyond_share_and_minimum(
    missing: int, rows: int, doubted: bool
) -> None:
    assert mass_delete(Missing(missing, rows), PACE) is doubted


@given(st.integers(1, 10_000))
def test_pauses_grow_and_have_an_end(failures: int) -> None:
    assert 2.0 <= backoff(failures) <= backoff(failures + 1) <= 900.0

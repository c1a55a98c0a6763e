"""How a sync is, told from its collections' states."""

from __future__ import annotations

from dataclasses import replace

import pytest

from httpproxy.store.sync.states import (
    CollectionState,
    Compared,
    Held,
    Run,
    RunKind,
    Trouble,
    Unrefreshed,
)
from httpproxy.sync.health import Phase, health, overall, phase

NOW = 1_800_000_000.0
BACKFILL = Run(1, RunKind.BACKFILL, True, 5, "page 2", 1, 100, NOW - 10, None)
SWEEP = replace(BACKFILL, kind=RunKind.SWEEP, thorough=False)
HELD = Held(missing=4_000, rows=50_000, since=NOW - 60, approved=False)
TROUBLE = Trouble("403: no", "give the token the scope", NOW - 120, 3)
LIVE = CollectionState(
    sync_id="sync_1",
    number=1,
    collection="0-1",
    name="contacts",
    table_name="contact",
    run=None,
    held=None,
    trouble=None,
    backfilled_at=NOW - 3_600,
    listed_at=NOW - 600,
    heard_at=NOW - 3,
    succeeded_at=NOW - 2,
    whole_mark=None,
    whole_since=None,
    dirty=0,
    rows=400,
    requests={"backfill": 7},
    truth=Compared(10, 1, NOW - 5),
    wants_thorough=False,
    removed=False,
)
NEW = replace(
    LIVE, backfilled_at=None, listed_at=None, heard_at=None, succeeded_at=None, rows=0
)


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        (NEW, "active", Phase.WAITING),
        (replace(NEW, run=BACKFILL), "active", Phase.BACKFILL),
        (LIVE, "active", Phase.LIVE),
        (replace(LIVE, dirty=5, whole_mark=3), "active", Phase.LIVE),
        (replace(LIVE, run=SWEEP), "active", Phase.SWEEP),
        (replace(LIVE, wants_thorough=True), "active", Phase.WAITING),
        (replace(LIVE, run=SWEEP, held=HELD), "active", Phase.HELD),
        (replace(LIVE, run=SWEEP, held=replace(HELD, approved=True)), "active", Phase.SWEEP),
        (replace(NEW, run=BACKFILL, trouble=TROUBLE), "active", Phase.FAILING),
        (replace(LIVE, held=HELD, run=SWEEP, trouble=TROUBLE), "active", Phase.FAILING),
        (replace(LIVE, trouble=TROUBLE), "paused", Phase.PAUSED),
        (replace(LIVE, trouble=TROUBLE, removed=True), "paused", Phase.REMOVED),
    ],
)
def test_a_phase_is_what_needs_somebody_most(
    state: CollectionState, status: str, expected: Phase
):
    assert phase(state, status) is expected
    assert health(state, "crm", status, NOW).phase is expected


def test_lag_counts_from_the_feeds_last_word_and_is_never_negative():
    assert health(LIVE, "crm", "active", NOW).lag == 3.0
    assert health(LIVE, "crm", "active", NOW - 60).lag == 0.0
    unfed = replace(LIVE, heard_at=None)
    assert health(unfed, "crm", "active", NOW).lag == 600.0
    assert health(NEW, "crm", "active", NOW).lag is None
    assert health(LIVE, "crm", "active", NOW).followed
    assert not health(unfed, "crm", "active", NOW).followed


def test_whatever_went_well_last_is_the_last_success():
    assert health(LIVE, "crm", "active", NOW).succeeded == NOW - 2
    assert health(replace(LIVE, heard_at=NOW), "crm", "active", NOW).succeeded == NOW
    assert health(replace(LIVE, listed_at=NOW - 1), "crm", "active", NOW).succeeded == NOW - 1
    assert health(NEW, "crm", "active", NOW).succeeded is None


def test_only_a_collection_that_was_complete_before_tells_how_far_its_listing_is():
    assert health(replace(NEW, run=BACKFILL, rows=100), "crm", "active", NOW).share is None
    again = health(replace(LIVE, run=SWEEP), "crm", "active", NOW)
    assert (again.share, again.records, again.thorough) == (0.25, 100, False)
    grown = replace(LIVE, run=replace(SWEEP, records=500))
    assert health(grown, "crm", "active", NOW).share == 1.0
    assert health(replace(LIVE, run=SWEEP, rows=0), "crm", "active", NOW).share is None
    assert health(LIVE, "crm", "active", NOW).share is None


def test_what_is_wrong_is_in_the_apis_own_words_with_what_to_do():
    found = health(replace(LIVE, trouble=TROUBLE), "crm", "active", NOW)
    assert (found.error, found.remedy) == (TROUBLE.error, TROUBLE.remedy)
    assert (found.failures, found.since) == (3, TROUBLE.since)
    well = health(LIVE, "crm", "active", NOW)
    assert (well.error, well.remedy, well.failures, well.since) == ("", "", 0, None)


def test_tokens_that_are_not_refreshed_are_told_before_any_call_fails():
    unrefreshed = Unrefreshed("cred_1", "503 busy. It is tried again by itself.", spent=False)
    found = health(replace(LIVE, unrefreshed=unrefreshed), "crm", "active", NOW)
    assert (found.phase, found.settled) == (Phase.LIVE, True)
    assert found.error == f"its credential's tokens were not refreshed: {unrefreshed.why}"
    assert found.remedy.startswith("Nothing, if it passes. Should it stay: Store new")
    spent = replace(LIVE, unrefreshed=replace(unrefreshed, spent=True))
    assert health(spent, "crm", "active", NOW).remedy == (
        "Store new tokens in the credential cred_1."
    )
    for more, said in (
        ({"trouble": TROUBLE}, TROUBLE.error),
        ({"removed": True}, ""),
    ):
        assert health(replace(spent, **more), "crm", "active", NOW).error == said


def test_a_held_sweep_names_both_ways_to_go_on():
    state = replace(LIVE, run=SWEEP, held=HELD)
    found = health(state, "crm", "active", NOW)
    assert found.held
    assert "lacks 4,000 of 50,000 rows" in found.error
    assert "`httpproxy sync resume crm --delete-missing contact`" in found.remedy
    assert "`httpproxy sync resync crm contact`" in found.remedy
    assert found.since == HELD.since
    agreed = replace(state, held=replace(HELD, approved=True))
    assert health(agreed, "crm", "active", NOW).error == ""
    assert not health(agreed, "crm", "active", NOW).held


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (LIVE, True),
        (replace(LIVE, run=SWEEP), True),
        (replace(LIVE, removed=True), True),
        (replace(LIVE, run=replace(SWEEP, thorough=True)), False),
        (replace(LIVE, wants_thorough=True), False),
        (replace(LIVE, trouble=TROUBLE), False),
        (replace(NEW, run=BACKFILL), False),
        (NEW, False),
    ],
)
def test_settled_is_what_has_all_that_the_api_has(state: CollectionState, settled: bool):
    assert health(state, "crm", "active", NOW).settled is settled


def test_only_what_waits_for_the_user_is_stuck():
    assert health(replace(LIVE, run=SWEEP, held=HELD), "crm", "active", NOW).stuck
    assert health(NEW, "crm", "paused", NOW).stuck
    for state in (NEW, LIVE, replace(LIVE, trouble=TROUBLE), replace(NEW, run=BACKFILL)):
        assert not health(state, "crm", "active", NOW).stuck


def test_a_listing_whose_last_call_failed_is_still_under_way():
    for state in (replace(NEW, run=BACKFILL), replace(NEW, run=BACKFILL, trouble=TROUBLE)):
        assert health(state, "crm", "active", NOW).under_way
    for state in (LIVE, replace(LIVE, trouble=TROUBLE), replace(LIVE, run=SWEEP, held=HELD)):
        assert not health(state, "crm", "active", NOW).under_way
    assert not health(replace(NEW, run=BACKFILL), "crm", "paused", NOW).under_way


def test_a_sync_is_as_the_collection_that_needs_somebody_most():
    def of(*states: CollectionState) -> Phase:
        return overall([health(state, "crm", "active", NOW) for state in states])

    assert of() is Phase.WAITING
    assert of(LIVE, LIVE) is Phase.LIVE
    assert of(LIVE, replace(LIVE, run=SWEEP)) is Phase.SWEEP
    assert of(LIVE, NEW, replace(NEW, run=BACKFILL)) is Phase.BACKFILL
    assert of(replace(NEW, run=BACKFILL), replace(LIVE, run=SWEEP, held=HELD)) is Phase.HELD
    assert of(replace(LIVE, held=HELD), replace(LIVE, trouble=TROUBLE)) is Phase.FAILING
    assert of(LIVE, replace(LIVE, removed=True)) is Phase.LIVE

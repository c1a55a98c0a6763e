"""Was a write applied whose answer was lost? What reading again tells."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from httpproxy.exchange.settling import evidence
from httpproxy.exchange.settling.evidence import Judgement
from providers.record import JSON, Image, ImageKind
from providers.spec import Draft, DraftKind

BEGAN_AT = 1_800_000_000.0  # 2027-01-15T08:00:00Z
BEFORE, SINCE = "2027-01-15T07:58:00Z", "2027-01-15T07:59:30+00:00"


def judge(drafts: list[Draft], named: list[Image], created: list[Image]) -> Judgement:
    return evidence.judge(drafts, named, created, BEGAN_AT)


def image(key: str, kind: ImageKind = ImageKind.REPLACE, **values: JSON) -> Image:
    return Image("tasks", (key,), kind, values)


def draft(kind: DraftKind, key: str | None = None, **values: JSON) -> Draft:
    return Draft("tasks", kind, None if key is None else (key,), values=values)


UPDATE, DELETE, CREATE = DraftKind.UPDATE, DraftKind.DELETE, DraftKind.CREATE


def test_an_update_that_is_there_was_applied_whatever_else_the_record_holds():
    verdict = judge([draft(UPDATE, "r1", name="new")], [image("r1", name="new", n=3)], [])
    assert (verdict.outcome, verdict.records) == ("applied", ("r1",))


@pytest.mark.parametrize(
    ("version", "outcome"),
    [(BEFORE, "absent"), (SINCE, "unclear"), (None, "unclear"), ("no moment", "unclear")],
)
def test_an_update_that_is_not_there_was_not_applied_if_nobody_wrote_the_record_since(
    version, outcome
):
    asked = [draft(UPDATE, "r1", name="new", n=3)]
    seen = Image("tasks", ("r1",), ImageKind.REPLACE, {"name": "new", "n": 2}, {}, version)
    assert judge(asked, [seen], []).outcome == outcome


def test_a_record_that_is_archived_is_gone_however_it_was_read():
    archived = image("r1", **{"$archived": True, "name": "x"})
    assert judge([draft(DELETE, "r1")], [archived], []).outcome == "applied"
    assert judge([draft(UPDATE, "r1", name="x")], [archived], []).outcome == "unclear"


@pytest.mark.parametrize("kind", [ImageKind.DELETE, ImageKind.ARCHIVE])
def test_a_delete_was_applied_if_the_record_is_gone(kind):
    assert judge([draft(DELETE, "r1")], [image("r1", kind)], []).outcome == "applied"
    assert judge([draft(DELETE, "r1")], [image("r1")], []).outcome == "absent"


@pytest.mark.parametrize("kind", [ImageKind.DELETE, ImageKind.ARCHIVE])
def test_an_update_of_a_record_that_is_gone_may_have_been_applied_before(kind):
    assert judge([draft(UPDATE, "r1", name="x")], [image("r1", kind)], []).outcome == "unclear"


def test_a_record_that_could_not_be_read_tells_nothing():
    assert judge([draft(UPDATE, "r1", name="x")], [], []).outcome == "unclear"
    assert judge([draft(DELETE, "r1")], [image("r2")], []).outcome == "unclear"


def test_a_create_is_found_among_the_new_records():
    verdict = judge(
        [draft(CREATE, name="a")], [], [image("r1", name="b"), image("r2", name="a")]
    )
    assert (verdict.outcome, verdict.records) == ("applied", ("r2",))


def test_without_any_new_record_a_create_is_absent_and_with_another_one_unclear():
    assert judge([draft(CREATE, name="a")], [], []).outcome == "absent"
    assert judge([draft(CREATE, name="a")], [], [image("r1", name="A")]).outcome == "unclear"
    other = Image("people", ("p1",), ImageKind.REPLACE, {"name": "a"})
    assert judge([draft(CREATE, name="a")], [], [other]).outcome == "absent"


def test_two_creates_of_the_same_need_two_records():
    twice = [draft(CREATE, name="a"), draft(CREATE, name="a")]
    assert judge(twice, [], [image("r1", name="a")]).outcome == "unclear"
    both = judge(twice, [], [image("r1", name="a"), image("r2", name="a")])
    assert (both.outcome, both.records) == ("applied", ("r1", "r2"))


def test_an_upsert_that_left_no_new_record_may_have_changed_one():
    asked = [Draft("tasks", DraftKind.UPSERT, values={"name": "a"})]
    assert judge(asked, [], []).outcome == "unclear"
    assert judge(asked, [], [image("r1", name="a")]).outcome == "applied"


def test_what_a_request_does_not_tell_stays_unclear():
    assert judge([draft(DraftKind.TOUCH, "r1")], [image("r1")], []).outcome == "unclear"
    both = [draft(DraftKind.TOUCH, "r9"), draft(DELETE, "r1")]
    assert judge(both, [image("r1", ImageKind.DELETE)], []).outcome == "applied"
    assert judge([], [image("r1")], []).outcome == "unclear"


def test_of_a_batch_that_was_applied_in_part_nothing_is_said():
    batch = [draft(UPDATE, "r1", n=1), draft(UPDATE, "r2", n=1)]
    assert judge(batch, [image("r1", n=1), image("r2", n=0)], []).outcome == "unclear"


@pytest.mark.parametrize(
    ("meant", "found", "same"),
    [
        (1, 1.0, True),
        ("1.50", 1.5, True),
        (False, None, True),
        ("", None, True),
        ([], None, True),
        (0, None, False),
        (0, False, True),
        (True, 1, True),
        ("NaN", "NaN ", False),
        ("a", "A", False),
        ({"a": 1}, {"a": 1}, True),
        ([1], [2], False),
        ([1], [1, 2], False),
        ([{"url": "https://here"}], [{"url": "https://there", "id": "att1"}], True),
        ({"id": "usr1"}, {"id": "usr1", "email": "a@example.com"}, True),
        ({"id": "usr1"}, {"id": "usr2", "email": "a@example.com"}, False),
        ({"id": "usr1"}, "usr1", False),
    ],
)
def test_what_a_column_holds_is_compared_and_not_how_it_is_spelled(meant, found, same):
    held: Mapping[str, JSON] = {"f": found}
    seen = Image("tasks", ("r1",), ImageKind.REPLACE, held)
    asked = Draft("tasks", UPDATE, ("r1",), values={"f": meant})
    assert (judge([asked], [seen], []).outcome == "applied") is same

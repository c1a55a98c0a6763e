"""The benchmarks' own parts: what they send, what they answer, how they judge."""

from __future__ import annotations

import json

import pytest

from providers.record import ColumnType
from tests.benchmarks import gateway, record, stub
from tests.benchmarks.report import result, save


def _answered(method: bytes, path: bytes, body: bytes = b"") -> dict:
    head, _, content = stub.answer(method, path, body).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(content)}".encode() in head
    return json.loads(content)


def test_the_stub_gives_every_created_record_an_id_and_the_cells_it_was_sent():
    path = f"/v0/{record.BASE}/{record.TABLE}".encode()
    made = [_answered(b"POST", path, record.CREATE) for _ in range(3)]
    assert len({one["id"] for one in made}) == 3
    assert all(one["fields"] == record.FIELDS for one in made)


def test_the_stub_answers_updates_and_deletes_for_the_record_of_the_path():
    path = f"/v0/{record.BASE}/{record.TABLE}/rec7".encode()
    changed = _answered(b"PATCH", path, json.dumps({"fields": {"Name": "x"}}).encode())
    assert (changed["id"], changed["fields"]) == ("rec7", {"Name": "x"})
    assert _answered(b"DELETE", path) == {"id": "rec7", "deleted": True}


def test_the_read_and_its_committed_twin_carry_about_a_kilobyte():
    path = f"/v0/{record.BASE}/{record.TABLE}".encode()
    listed = stub.answer(b"POST", path + b"/listRecords", record.CREATE)
    created = stub.answer(b"POST", path, record.CREATE)
    assert len(listed) == pytest.approx(len(created), rel=0.02)
    assert 900 < len(created) < 1300


def test_the_benchmarks_table_has_twenty_typed_fields():
    (collection,) = gateway.discovered()
    cells = [field for field in collection.fields if not field.id.startswith("$")]
    assert len(cells) == 20
    assert {field.column_type for field in cells} == set(ColumnType)


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [
        (("at least", 0.18), 0.18, True),
        (("at least", 0.18), 0.17, False),
        (("at most", 2.5), 2.5, True),
        (("at most", 2.5), 2.6, False),
        (None, 1.0, None),
    ],
)
def test_a_target_is_met_from_its_own_side(target, ratio, met, tmp_path):
    found = result("name", 1.0, 2.0, ratio, target)
    save([found], tmp_path / "bench.json")
    (saved,) = json.loads((tmp_path / "bench.json").read_text())
    assert saved.keys() == {"name", "ours", "peer", "ratio", "target", "met"}
    assert saved["met"] is met

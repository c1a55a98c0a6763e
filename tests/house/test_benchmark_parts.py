"""The benchmarks' own parts: what they send, what they answer, how they judge."""

from __future__ import annotations

import json

import pytest

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from providers.record import ColumnType
from tests.benchmarks import by_hand, copying, gateway, loading, record, stub
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


def test_a_page_holds_a_hundred_new_records_without_anything_extra():
    (collection,) = gateway.discovered()
    changes = [loading.read(collection, record.page(number)) for number in (0, 1)]
    images = [image for change in changes for image in change.images]
    assert len({image.key for image in images}) == 2 * record.PAGE
    assert all(not image.extra and None not in image.values.values() for image in images)
    assert not any(change.dirty or change.schema_changed for change in changes)


async def test_every_peer_copies_the_same_rows(database_dsn):
    (collection,) = gateway.discovered()
    async with gateway.registry(database_dsn) as registry:
        sync = await gateway.make_sync(registry, "bench", record.BASE, (collection,))
        tables = await registry.tables(sync)
        twin = await by_hand.twin(database_dsn, sync.schema_name, record.TABLE.lower())
        async with (
            Committer(database_dsn) as committer,
            Loader(database_dsn, committer) as ours,
        ):
            await loading.load(ours, tables, sync.id, iter([record.page(0)]))
    copier = copying.Copier(database_dsn, twin["table"], twin["columns"])
    shown = "to_jsonb(t) - '_sync_inserted_at' - '_sync_updated_at'"
    rows = f"SELECT array_agg({shown} ORDER BY id) FROM {{}}.tasks t"
    with copier.connection as connection:
        loaded = connection.execute(rows.format(f'"{sync.schema_name}"')).fetchall()
        assert len(loaded[0][0]) == record.PAGE
        for ready, write in copying.WAYS.values():
            connection.execute("TRUNCATE by_hand.tasks")
            write(copier, [ready(copier, record.page(0))])
            assert connection.execute(rows.format("by_hand")).fetchall() == loaded

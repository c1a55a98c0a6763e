"""A mirror that hears, reads and sweeps as the sync does ends up as the portal is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hubspot_portal import (
    ANALYTICAL,
    CHARLES,
    COMPILERS,
    ENGINE,
    GRACE,
    MARY,
    Portal,
    collection,
)

from providers.http import Request, Response
from providers.hubspot.feeds import feeds, listen
from providers.hubspot.listing import list_page
from providers.hubspot.reading import read_records
from providers.record import JSON, Collection, Dirty, Image, ImageKind
from providers.spec import Page

V3 = "/crm/v3/objects"
Key = tuple[str, ...]
Rows = dict[str, dict[Key, dict[str, JSON]]]


class Mirror:
    """Rows by collection, kept by the provider's conversations alone."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.schema = portal.schema("contacts", "companies", "deals")
        self.rows: Rows = {c.id: {} for c in self.schema.collections}
        self.feeds = feeds(self.schema.collections)
        self.states = {feed.name: self._heard(feed, None) for feed in self.feeds}
        for each in self.schema.collections:
            self._pages(each, thorough=True)

    def _heard(self, feed: Any, state: JSON) -> JSON:
        heard = self.portal.converse(listen(feed, state, self.portal.now))
        for mark in heard.change.dirty:
            self._read_if_other(feed.collections[0], mark)
        return self._heard(feed, heard.state) if heard.more else heard.state

    def hear(self) -> None:
        for feed in self.feeds:
            self.states[feed.name] = self._heard(feed, self.states[feed.name])

    def sweep(self) -> None:
        for each in self.schema.collections:
            seen = {key for page in self._pages(each, thorough=False) for key in page.seen}
            live = {k for k, row in self.rows[each.id].items() if not row.get("$archived")}
            if missing := sorted(live - seen):
                self._read(each, missing)

    def _pages(self, wanted: Collection, *, thorough: bool) -> list[Page]:
        found: list[Page] = []
        after: str | None = None
        while not found or after is not None:
            found.append(self.portal.converse(list_page(wanted, after, thorough)))
            after = found[-1].after
            for image in found[-1].change.images:
                self._take(image)
            for mark in found[-1].change.dirty:
                self._read_if_other(wanted, mark)
        return found

    def _read_if_other(self, wanted: Collection, mark: Dirty) -> None:
        assert mark.key is not None
        row = self.rows[wanted.id].get(mark.key, {})
        if row.get("$archived") or row.get("$updated_at") != mark.updated_at:
            self._read(wanted, [mark.key])

    def _read(self, wanted: Collection, keys: list[Key]) -> None:
        images = self.portal.converse(read_records(wanted, keys))
        assert {image.key for image in images} >= set(keys)
        for image in images:
            self._take(image)

    def _take(self, image: Image) -> None:
        rows = self.rows[image.collection]
        if image.kind is ImageKind.REPLACE:
            rows[image.key] = dict(image.values)
        elif image.kind is ImageKind.ARCHIVE:
            rows[image.key]["$archived"] = True
        else:
            rows.pop(image.key, None)


def truth(portal: Portal) -> Rows:
    """The portal as a mirror made now has it: live records and their pairs."""
    return Mirror(portal).rows


def live(rows: Rows) -> Rows:
    return {
        name: {key: row for key, row in found.items() if not row.get("$archived")}
        for name, found in rows.items()
    }


def merged(portal: Portal) -> None:
    body = {"primaryObjectId": CHARLES, "objectIdToMerge": GRACE}
    portal.call("POST", f"{V3}/contacts/merge", body)


def archived(portal: Portal) -> None:
    portal.call("DELETE", f"{V3}/contacts/{CHARLES}")
    portal.call("DELETE", f"{V3}/companies/{COMPILERS}")


def removed(portal: Portal) -> None:
    portal.call("POST", f"{V3}/contacts/gdpr-delete", {"objectId": GRACE})


def rewritten(portal: Portal) -> None:
    portal.call("PATCH", f"{V3}/contacts/{MARY}", {"properties": {"lastname": "Shelley"}})
    portal.call("POST", f"{V3}/deals", {"properties": {"dealname": "New"}})


def relabelled(portal: Portal) -> None:
    path = f"/crm/v4/objects/contacts/{CHARLES}/associations/companies"
    adviser = [{"associationCategory": "USER_DEFINED", "associationTypeId": 1001}]
    portal.call("PUT", f"{path}/{ANALYTICAL}", adviser)
    portal.call("PUT", f"{path}/{COMPILERS}", adviser)
    portal.call(
        "DELETE", f"/crm/v4/objects/contacts/{GRACE}/associations/companies/{COMPILERS}"
    )


SWITCHES: list[dict[str, Any]] = [
    {},
    {"merge_makes_new_id": False},
    {"merged_ids_in_batch_read": True},
    {"associations_of_archived": True},
    {"associations_touch_records": True, "numeric_association_ids": False},
    {"search_lag": 20.0, "removed_in_archived_lists": True},
]


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: ",".join(s) or "as it is")
@pytest.mark.parametrize("change", [merged, archived, removed, rewritten, relabelled])
def test_whatever_others_do_a_sweep_ends_where_the_portal_is(
    change: Callable[[Portal], None], switches: dict[str, Any]
):
    portal = Portal(**switches)
    mirror = Mirror(portal)
    change(portal)
    portal.now += 30.0
    mirror.hear()
    mirror.sweep()
    assert live(mirror.rows) == truth(portal)


@pytest.mark.parametrize("switches", SWITCHES[:3], ids=lambda s: ",".join(s) or "as it is")
def test_a_merge_leaves_one_row_with_the_associations_of_both(switches: dict[str, Any]):
    portal = Portal(**switches)
    mirror = Mirror(portal)
    body = {"primaryObjectId": CHARLES, "objectIdToMerge": GRACE}
    new = portal.call("POST", f"{V3}/contacts/merge", body)["id"]
    mirror.hear()
    contacts = mirror.rows["0-1"]
    assert contacts[new,]["email"] == "charles@engines.example", "heard without a sweep"
    mirror.sweep()
    assert set(contacts) == {(new,), (MARY,)}
    pairs = mirror.rows["associations_company_contact"]
    assert set(pairs) == {(ANALYTICAL, new), (COMPILERS, new)}
    assert set(mirror.rows["associations_contact_deal"]) == {(new, ENGINE)}


@pytest.mark.parametrize("told", [True, False])
def test_pairs_of_an_archived_record_go_and_its_row_stays(told: bool):
    portal = Portal(associations_of_archived=told)
    mirror = Mirror(portal)
    archived(portal)
    mirror.sweep()
    assert mirror.rows["0-1"][CHARLES,]["$archived"] is True
    assert mirror.rows["associations_company_contact"] == {}
    assert mirror.rows["associations_contact_deal"] == {}


def restore(portal: Portal, *ids: str) -> None:
    """What a user can do on HubSpot's own page alone."""
    kinds = portal.sandbox.world.portals["48000001"].kinds
    for kind in kinds.values():
        for each in ids:
            if each in kind.records:
                kind.records[each].archived = None
    portal.sandbox.load(portal.sandbox.dump())


def test_a_restored_record_is_back_with_its_pairs_after_a_sweep():
    portal = Portal()
    mirror = Mirror(portal)
    before = {name: dict(rows) for name, rows in mirror.rows.items()}
    archived(portal)
    mirror.sweep()
    restore(portal, CHARLES, COMPILERS)
    mirror.sweep()
    assert {name: set(rows) for name, rows in mirror.rows.items()} == {
        name: set(rows) for name, rows in before.items()
    }
    assert mirror.rows["0-1"][CHARLES,]["$archived"] is False
    assert live(mirror.rows) == truth(portal)


def test_reading_a_pair_asks_whether_its_left_is_live_only_if_there_is_one():
    portal = Portal()
    pair = collection(portal.schema("contacts", "companies"), "associations_company_contact")
    asked: list[str] = []

    class Watched(Portal):
        def send(self, request: Request) -> Response:
            asked.append(request.path)
            return super().send(request)

    Watched().converse(read_records(pair, [(COMPILERS, MARY), (ANALYTICAL, MARY)]))
    assert asked == ["/crm/v4/associations/0-2/0-1/batch/read"]

"""What every provider's listings and feeds must keep to, against its own sandbox."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from driving import Account

from providers.http import Request
from providers.record import JSON, Collection, ImageKind
from providers.spec import Feed, Heard, Page, Provider, Refused

# What a patch of the example's record says.
PATCHES: Mapping[str, JSON] = {
    "airtable": {"fields": {"Name": "Patched"}},
    "hubspot": {"properties": {"firstname": "Patched"}},
}
MORE_THAN_A_PAGE = 230


@pytest.fixture
def account(provider: Provider) -> Account:
    return Account(provider)


@pytest.fixture
def filled(account: Account) -> Collection:
    """The example's collection with more records than a page of any API holds."""
    for turn in range(MORE_THAN_A_PAGE):
        create(account, turn)
    return example_collection(account)


def create(account: Account, turn: int = 0) -> tuple[str, ...]:
    # Some APIs refuse a second record with the same unique value (HubSpot: the email).
    request = account.provider.sandbox.example.request
    answer = account.call(dataclasses.replace(request, body=_another(request.body, turn)))
    assert answer.ok, answer.body
    return (str(json.loads(answer.body)["id"]),)


def _another(body: bytes, turn: int) -> bytes:
    return body.replace(b"@", b"+%d@" % turn)


def patch(account: Account, key: tuple[str, ...]) -> None:
    body = json.dumps(PATCHES[account.provider.name]).encode()
    assert account.call(_at(account, "PATCH", key, body)).ok


def delete(account: Account, key: tuple[str, ...]) -> None:
    assert account.call(_at(account, "DELETE", key)).ok


def _at(account: Account, method: str, key: tuple[str, ...], body: bytes = b"") -> Request:
    """A call to a record of the example's collection."""
    example = account.provider.sandbox.example.request
    target = f"{example.path}/{key[0]}"
    return dataclasses.replace(example, method=method, target=target, body=body)


def example_collection(account: Account) -> Collection:
    _, change = Account(account.provider).write(account.provider.sandbox.example.request)
    return {c.id: c for c in account.discover()}[change.images[0].collection]


def pages(account: Account, collection: Collection, *, thorough: bool) -> Iterator[Page]:
    """Every page of a listing; the cursor goes through text, as it does over a restart."""
    after: str | None = None
    while True:
        page = account.converse(account.provider.list_page(collection, after, thorough))
        yield page
        if page.after is None:
            return
        after = json.loads(json.dumps(page.after))


@pytest.mark.parametrize("thorough", [True, False])
def test_every_seeded_collection_is_listed_to_its_end(account: Account, thorough: bool):
    everything = account.converse(account.provider.discover(account.name, None))
    for collection in everything:
        for page in pages(account, collection, thorough=thorough):
            for told in (*page.change.images, *page.change.dirty):
                assert told.collection == collection.id
                assert told.key in page.seen
            assert all(len(key) == len(collection.key) for key in page.seen)


@pytest.mark.parametrize("thorough", [True, False])
def test_a_listing_of_several_pages_sees_every_record_once(
    account: Account, filled: Collection, thorough: bool
):
    found = list(pages(account, filled, thorough=thorough))
    seen = [key for page in found for key in page.seen]
    assert len(found) > 1
    assert len(seen) == len(set(seen))
    assert len(seen) >= MORE_THAN_A_PAGE
    told = {t.key for p in found for t in (*p.change.images, *p.change.dirty)}
    assert told == set(seen)


def test_a_thorough_listing_says_what_reading_each_record_says(
    account: Account, filled: Collection
):
    found = [
        image
        for page in pages(account, filled, thorough=True)
        for image in page.change.images
        if image.kind is ImageKind.REPLACE
    ]
    assert len(found) >= MORE_THAN_A_PAGE
    sample = found[:: len(found) // 7]
    keys = [image.key for image in sample]
    read = account.converse(account.provider.read_records(filled, keys))
    assert [image.values for image in read] == [image.values for image in sample]


def test_a_record_that_is_deleted_is_missing_from_the_next_listing(account: Account):
    collection, key = example_collection(account), create(account)
    assert key in _seen(account, collection)
    delete(account, key)
    assert key not in _living(account, collection)


def _seen(account: Account, collection: Collection) -> set[tuple[str, ...]]:
    return {key for p in pages(account, collection, thorough=False) for key in p.seen}


def _living(account: Account, collection: Collection) -> set[tuple[str, ...]]:
    """Those that a listing sees, without those that it shows as archived or deleted."""
    living: set[tuple[str, ...]] = set()
    for page in pages(account, collection, thorough=True):
        gone = (ImageKind.ARCHIVE, ImageKind.DELETE)
        living |= set(page.seen) - {i.key for i in page.change.images if i.kind in gone}
    return living


def test_a_listing_with_a_wrong_token_says_what_to_do(provider: Provider):
    collection = example_collection(Account(provider))
    stranger = Account(provider, token="not-a-token")
    with pytest.raises(Refused) as raised:
        stranger.converse(provider.list_page(collection, None, True))
    assert raised.value.response.status == 401
    assert raised.value.remedy


# Feeds -----------------------------------------------------------------------------


def feed_of(account: Account) -> Feed:
    """The feed that covers the example's collection."""
    collection = example_collection(account)
    feeds = account.provider.feeds(account.discover())
    return next(f for f in feeds if collection.id in {c.id for c in f.collections})


def listen(account: Account, feed: Feed, state: JSON) -> Heard:
    """One call; what it returns as the state has been text, as it is in a database."""
    now = next(account._moments)
    heard = account.converse(account.provider.listen(feed, state, now))
    return dataclasses.replace(heard, state=json.loads(json.dumps(heard.state)))


def told_of(account: Account, feed: Feed, state: JSON, key: Any) -> JSON:
    """Listens until the record is told of, and to the end; the state then.

    An API's index may lag, so it is listened to for some minutes.
    """
    told = False
    for _ in range(40):
        heard = listen(account, feed, state)
        state = heard.state
        about = (*heard.change.images, *heard.change.dirty)
        told = told or bool(heard.missed) or any(t.key in (None, key) for t in about)
        assert not heard.refused
        if told and not heard.more:
            return state
    raise AssertionError(f"nothing was told of {key}")


def test_feeds_have_names_of_their_own_and_cover_known_collections(account: Account):
    collections = account.discover()
    feeds = account.provider.feeds(collections)
    names = [feed.name for feed in feeds]
    assert len(names) == len(set(names)) > 0
    covered = [c for feed in feeds for c in feed.collections]
    assert {c.id for c in covered} <= {c.id for c in collections}
    assert [f.name for f in account.provider.feeds(collections)] == names
    assert account.provider.feeds(()) == ()


def test_a_feed_that_has_just_been_opened_has_missed_nothing(account: Account):
    for feed in account.provider.feeds(account.discover()):
        heard = listen(account, feed, None)
        assert (heard.missed, heard.refused) == ((), {})
        assert heard.state is not None


def test_a_feed_tells_of_what_is_made_and_changed_after_it_was_opened(account: Account):
    feed = feed_of(account)
    state = listen(account, feed, None).state
    key = create(account)
    state = told_of(account, feed, state, key)
    patch(account, key)
    told_of(account, feed, state, key)


def test_a_delete_is_told_by_the_feed_or_missing_from_the_next_listing(account: Account):
    feed, collection = feed_of(account), example_collection(account)
    state, key = listen(account, feed, None).state, create(account)
    state = told_of(account, feed, state, key)
    delete(account, key)
    assert key not in _living(account, collection)
    heard = listen(account, feed, state)
    about = [m for m in (*heard.change.images, *heard.change.dirty) if m.key == key]
    images = account.converse(account.provider.read_records(collection, [key] * len(about)))
    assert all(i.kind in (ImageKind.DELETE, ImageKind.ARCHIVE) for i in images)


def test_an_unchanged_account_costs_two_requests_a_feed_at_most(account: Account):
    feed = feed_of(account)
    state = listen(account, feed, None).state
    for _ in range(60):  # until no overlap is left
        state = listen(account, feed, state).state
    asked = _counted(account)
    heard = listen(account, feed, state)
    assert len(asked) <= 2
    assert (heard.change.images, heard.change.dirty, heard.more) == ((), (), False)


def _counted(account: Account) -> list[Request]:
    asked: list[Request] = []
    handle = account.call

    def counting(request: Request) -> Any:
        asked.append(request)
        return handle(request)

    account.call = counting  # type: ignore[method-assign]  # a test looks on
    return asked


def test_a_feed_can_be_ended_and_ended_again(account: Account):
    for feed in account.provider.feeds(account.discover()):
        state = listen(account, feed, None).state
        account.converse(account.provider.hang_up(feed, state))
        account.converse(account.provider.hang_up(feed, state))


def test_listening_with_a_wrong_token_says_what_to_do(provider: Provider):
    account = Account(provider)
    feed = feed_of(account)
    state = listen(account, feed, None).state
    stranger = Account(provider, token="not-a-token")
    try:
        refused = list(listen(stranger, feed, state).refused.values())
    except Refused as everything:
        refused = [everything]
    assert refused
    assert all(refusal.response.status == 401 and refusal.remedy for refusal in refused)

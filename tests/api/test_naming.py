"""Providers and collections are found by what users call them."""

from __future__ import annotations

import pytest

from httpproxy.management.naming import (
    collection_named,
    provider_named,
    public_id_of,
    spelling_of,
)
from httpproxy.management.problems import Declined
from providers.catalog import PROVIDERS
from providers.record import Collection, Schema

HUBSPOT, AIRTABLE = PROVIDERS["hubspot"], PROVIDERS["airtable"]
CONTACTS = Collection("0-1", "contacts", (), aliases=frozenset({"contact"}))
TASKS = Collection("tblTasks000000001", "Tasks", ())


def test_a_public_id_is_the_provider_and_what_it_calls_the_collection():
    assert public_id_of(AIRTABLE, TASKS) == "airtable:tblTasks000000001"
    assert public_id_of(HUBSPOT, CONTACTS) == "hubspot:contact"


@pytest.mark.parametrize(
    "text", ["hubspot:contact", "contact", "contacts", "0-1", "hubspot:0-1"]
)
def test_a_collection_is_found_by_all_that_it_is_called(text: str):
    assert collection_named(HUBSPOT, Schema((CONTACTS,)), text, "collection_id") is CONTACTS


def test_another_collection_is_declined_with_those_that_there_are():
    with pytest.raises(Declined) as declined:
        collection_named(AIRTABLE, Schema((TASKS,)), "airtable:Tsaks", "collection_ids[1]")
    said = declined.value
    assert (said.code, said.members["member"]) == ("unknown_collection", "collection_ids[1]")
    assert said.members["collections"] == ["airtable:tblTasks000000001"]
    assert "Tasks" in said.detail
    with pytest.raises(Declined, match="there is none"):
        collection_named(AIRTABLE, Schema(()), "x", "collection_id")


def test_a_collection_of_a_provider_that_is_not_built_tells_which_are():
    with pytest.raises(Declined, match="this version has airtable, hubspot") as declined:
        collection_named(HUBSPOT, Schema((CONTACTS,)), "salesforce:contact", "collection_id")
    assert declined.value.members["providers"] == ["airtable", "hubspot"]
    assert declined.value.members["collections"] == ["hubspot:contact"]
    with pytest.raises(Declined) as declined:
        collection_named(HUBSPOT, Schema((CONTACTS,)), "hubspot:deal", "collection_id")
    assert "providers" not in declined.value.members


def test_the_prefix_of_another_provider_is_declined():
    assert spelling_of(AIRTABLE, "Plan: B", "x") == "Plan: B"
    with pytest.raises(Declined, match="is a collection of hubspot"):
        spelling_of(AIRTABLE, "hubspot:contact", "collection_id")


def test_a_provider_that_is_not_built_is_declined_with_those_that_are():
    assert provider_named("airtable", "provider") is AIRTABLE
    with pytest.raises(Declined, match="this version has airtable, hubspot") as declined:
        provider_named("stripe", "provider")
    assert declined.value.members["providers"] == ["airtable", "hubspot"]

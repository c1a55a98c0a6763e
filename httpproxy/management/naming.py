"""How providers and collections are called in public, and found by what users call them.

A collection's public id is `provider:handle`: "hubspot:contact", "airtable:tblX…". Users may
leave the provider out, and name the collection by its id, its name or an alias. Pure.
"""

from __future__ import annotations

from typing import Final

from httpproxy.management.problems import Declined
from providers.catalog import PROVIDERS
from providers.record import Collection, Schema
from providers.spec import Provider

MOST_NAMED: Final = 50  # of what there is, to who asked for something else


def provider_named(name: str, member: str) -> Provider:
    """The provider of this name. Raises Declined, which lists those that there are."""
    found = PROVIDERS.get(name)
    if found is None:
        there = ", ".join(sorted(PROVIDERS))
        detail = f"There is no provider {name[:40]!r}; this version has {there}."
        raise Declined("unknown_provider", detail, member, providers=sorted(PROVIDERS))
    return found


def public_id(provider: Provider, upstream_id: str, name: str) -> str:
    """The public id of a collection, of its id and name at the API."""
    return f"{provider.name}:{provider.handle(upstream_id, name)}"


def public_id_of(provider: Provider, collection: Collection) -> str:
    """The public id of a collection."""
    return public_id(provider, collection.id, collection.name)


def spelling_of(provider: Provider, text: str, member: str) -> str:
    """What the API may call the collection that is named so: without our prefix.

    Raises Declined for the prefix of another provider.
    """
    prefix, colon, rest = text.partition(":")
    if colon and prefix == provider.name:
        return rest
    if colon and prefix in PROVIDERS:
        detail = f"{text[:80]!r} is a collection of {prefix}; this is about {provider.name}."
        raise Declined("unknown_collection", detail, member)
    return text


def collection_named(provider: Provider, schema: Schema, text: str, member: str) -> Collection:
    """The collection of a sync that is named so. Raises Declined, which lists those there."""
    spelling = spelling_of(provider, text, member)
    for each in schema.collections:
        if spelling == provider.handle(each.id, each.name):
            return each
    found = schema.find(spelling)
    if found is None:
        raise unknown_collection(provider, schema.collections, text, member)
    return found


def unknown_collection(
    provider: Provider, there: tuple[Collection, ...], text: str, member: str
) -> Declined:
    """The word that there is no such collection, with those that there are."""
    ids = [public_id_of(provider, each) for each in there]
    named = [f"{id_} ({each.name})" for id_, each in zip(ids, there, strict=True)]
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    listed = f"there are {', '.join(named[:MOST_NAMED])}{more}" if named else "there is none"
    detail = f"There is no collection {text[:80]!r}; {listed}."
    known: dict[str, list[str]] = {"collections": ids[:MOST_NAMED]}
    prefix, colon, _ = text.partition(":")
    if colon and prefix not in PROVIDERS:
        known["providers"] = sorted(PROVIDERS)
        detail += f" If {prefix[:40]!r} is a provider: this version has {', '.join(PROVIDERS)}."
    return Declined("unknown_collection", detail, member, **known)


def is_id(text: str) -> bool:
    """Whether anything could have this id or name: of what Postgres stores no text, nothing
    is there."""
    return text.isprintable() and len(text) <= 500


def unknown_sync(id_or_name: str, member: str | None = None) -> Declined:
    """The word that there is no such sync: 400 if `member` of a request named it, else 404."""
    detail = f"There is no sync {id_or_name[:80]!r}; GET /v1/syncs lists them."
    return Declined("bad_body" if member else "unknown_sync", detail, member)

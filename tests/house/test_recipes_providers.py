"""The pages of the providers tell the tables of the providers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson
import pytest
from pages import codes, table
from source import ROOT

from providers.airtable.fields import FIELD_TYPES
from providers.catalog import PROVIDERS
from providers.hubspot.fields import _COLUMN_TYPES, _ENUMERATIONS
from providers.record import JSON, ColumnType
from providers.spec import Provider

DOCS = ROOT / "docs"
NAMED = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


def _columns(page: str, header: str) -> dict[str, set[str]]:
    rows = table(DOCS / page, header)
    return {codes(column)[0]: set(codes(types)) for column, types in rows}


@NAMED
def test_every_provider_has_a_page_that_says_what_its_token_takes(provider: Provider):
    page = (DOCS / f"{provider.name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {provider.title}\n")
    for kind in provider.credential_kinds:
        for scope in re.findall(r"\b[a-z]+\.[a-z]+:[a-z]+\b", kind.help):
            assert f"`{scope}`" in page
    assert provider.sandbox.account in page
    assert provider.sandbox.token in page


@NAMED
def test_every_switch_of_a_sandbox_is_explained_with_its_default(provider: Provider):
    rows = table(DOCS / f"{provider.name}.md", "| switch | default | what it does |")
    told: Mapping[str, JSON] = {
        codes(name)[0]: orjson.loads(codes(default)[0]) for name, default, _ in rows
    }
    assert told == provider.sandbox.switches
    assert all(does for *_, does in rows)


def test_every_field_type_of_airtable_is_told_with_its_column():
    told = _columns("airtable.md", "| column | field types |")
    known: dict[str, set[str]] = {str(column): set() for column in ColumnType}
    for name, found in FIELD_TYPES.items():
        if name not in ("formula", "rollup"):  # theirs is the column of their result
            known[found.column_type].add(name)
    assert told == known


def test_every_property_type_of_hubspot_is_told_with_its_column():
    told = _columns("hubspot.md", "| column | property types |")
    known: dict[str, set[str]] = {str(column): set() for column in ColumnType}
    for type_, column in _COLUMN_TYPES.items():
        known[column].add(type_)
    for field_type, column in _ENUMERATIONS.items():
        known[column] |= {"enumeration", field_type}
    assert told == known

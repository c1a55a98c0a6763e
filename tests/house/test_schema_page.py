"""The page on schema drift says what the code does."""

from __future__ import annotations

from pages import table
from source import ROOT

from httpproxy.store.layouts.evolution import MAX_COLUMNS, WIDER

PAGE = ROOT / "docs" / "schema.md"


def test_the_wider_types_of_the_page_are_those_of_the_plan():
    shown = {
        (old, to): why
        for olds, to, why in table(PAGE, "| from | to | because |")
        for old in olds.split(", ")
    }
    assert set(shown) == {(old, to) for to, reasons in WIDER.items() for old in reasons}
    for (old, to), why in shown.items():
        assert why.startswith(WIDER[to][old])


def test_the_page_names_the_limit_of_columns():
    assert f"more than {MAX_COLUMNS:,} columns" in PAGE.read_text(encoding="utf-8")

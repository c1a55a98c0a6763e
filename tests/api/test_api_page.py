"""docs/api.md lists every operation and every problem there is."""

from __future__ import annotations

from api.reference_page import PAGE, written


def test_the_tables_are_those_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "run python tests/api/reference_page.py"

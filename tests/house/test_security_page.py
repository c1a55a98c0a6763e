"""Every row of the threat model names tests, and every one of them exists."""

from __future__ import annotations

import re

import pytest
from pages import table
from source import ROOT, functions

PAGE = ROOT / "docs" / "security.md"
ROWS = [
    row
    for row in table(PAGE, "| threat | what stands against it | shown by |")
    if len(row) == 3
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`([\w/]+\.py[\w:]*)`", row[2])})


def test_every_threat_has_something_against_it_and_a_test():
    threats = [row for row in ROWS if not row[0].startswith("**")]
    assert len(threats) > 25
    for threat, against, shown in threats:
        assert against, threat
        assert re.search(r"`[\w/]+\.py", shown), threat


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_is_named_exists(name):
    path, _, function = name.partition("::")
    file = ROOT / "tests" / path
    assert file.is_file()
    names = {each.name for each in functions(file)}
    assert not function or function in names
    assert any(each.startswith("test_") for each in names)

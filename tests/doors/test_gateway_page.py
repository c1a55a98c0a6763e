"""docs/gateway.md says what the tables of the code and of these tests say."""

from __future__ import annotations

import re
from pathlib import Path

from cases import ANSWER_REMOVED, REQUEST_REMOVED

from httpproxy.exchange.problems import PROBLEMS
from httpproxy.gateway import connection, server
from httpproxy.upstream import client

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()


def test_every_problem_code_has_its_heading_with_its_status() -> None:
    headings = dict(re.findall(r"^### (\w+) \((\d{3})\)$", PAGE, re.MULTILINE))
    assert headings == {code: str(kind.status) for code, kind in PROBLEMS.items()}


def test_every_field_that_is_removed_is_on_the_page() -> None:
    request, answer = PAGE.split("\n## Request\n")[1].split("\n## Answer\n")
    for part, removed in ((request, REQUEST_REMOVED), (answer, ANSWER_REMOVED)):
        listed = re.findall(r"`([A-Za-z0-9-]+)(\*?)`", part)
        names = {name.lower() for name, star in listed if not star}
        prefixes = tuple(name.lower() for name, star in listed if star)
        assert {n for n in removed if n not in names and not n.startswith(prefixes)} == set()


def test_the_limits_on_the_page_are_the_codes() -> None:
    limits = PAGE.split("\n## Limits\n")[1].split("\n## ")[0]
    for number in (
        server.MAX_TARGET,
        connection.MAX_FIELD,
        connection.MAX_HEADERS,
        client.MAX_LINE,
    ):
        assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", limits), number

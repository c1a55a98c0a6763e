"""docs/gateway.md says what the tables of the code and of these tests say."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from answers import PASSING
from cases import ANSWER_REMOVED, REQUEST_REMOVED
from neighbours.nginx import SHIPPED
from refusals import REFUSED

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


BOXES = (
    *(f"R{n}" for n in range(1, 14)),
    *(f"S{n}" for n in range(1, 11)),
    *(f"E{n}" for n in range(1, 5)),
    *(f"P{n}" for n in range(1, 7)),
)


def _conformance() -> dict[str, str]:
    table = PAGE.split("\n## Conformance\n")[1]
    return dict(re.findall(r"^\| (\w+) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE))


def test_every_box_of_the_checklist_is_on_the_page_with_what_shows_it() -> None:
    rows = _conformance()
    del rows["box"]
    assert set(BOXES) <= rows.keys()
    folder = Path(__file__).parent
    written = "".join(file.read_text() for file in folder.glob("test_*.py"))
    for box, shown_by in rows.items():
        tests = re.findall(r"`(test_\w+)`", shown_by)
        assert tests or "cases" in shown_by, box
        for test in tests:
            assert f"async def {test}(" in written, test
        if "cases" in shown_by:
            named = re.search(r"cases (\w+)", shown_by)
            assert CASES[named[1] if named else box], box


CASES = Counter(case.name.split(" ", 1)[0] for case in (*PASSING, *REFUSED))


def test_every_case_names_its_box() -> None:
    assert set(CASES) <= set(BOXES)


def test_what_nginx_answers_is_what_the_page_says_and_what_the_gateway_calls_it() -> None:
    shipped = SHIPPED.read_text()
    codes, titles = (
        dict(re.findall(r'^        (\d{3}) "?([^";]+)"?;$', part, re.MULTILINE))
        for part in (
            shipped.split("map $status $problem_code {")[1].split("}")[0],
            shipped.split("map $status $problem_title {")[1].split("}")[0],
        )
    )
    page = PAGE.split("\n## nginx's own answers\n")[1].split("\n## ")[0]
    own = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page, re.MULTILINE))
    assert codes.keys() == titles.keys()
    for status, code in codes.items():
        if code in PROBLEMS:
            kind = PROBLEMS[code]
            assert (str(kind.status), kind.title) == (status, titles[status])
        else:
            assert own.pop(code) == status
    assert own == {"nginx_failed": "500"}

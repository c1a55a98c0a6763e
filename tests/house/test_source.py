"""The habits of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest
from source import PACKAGES, ROOT, functions, named, pyproject, python_files, tree

SOURCES = python_files(*PACKAGES)
ALL = python_files(*PACKAGES, "tests")
TEXTS = [
    file
    for folder in (*PACKAGES, "tests", "docs", "deploy", ".ci")
    for file in sorted((ROOT / folder).rglob("*"))
    if file.suffix in {".py", ".sql", ".md", ".toml", ".yaml", ".conf", ".sh", ""}
    and file.is_file()
]
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
# In pieces, so that this file does not speak of itself.
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX\\b", "HA" + "CK\\b")))
BARE_IGNORE = re.compile(r"#\s*type:\s*ignore(?!\[)")
BARE_NOQA = re.compile(r"#\s*noqa(?!:)")
NOQA = re.compile(r"#\s*noqa:\s*(?P<rules>[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)(?P<reason>.*)")
MACHINE_PATH = re.compile("|".join(("/ro" + "ot/", "/ho" + "me/", "/wo" + "rk/")))
# The aim is 300 and 40; these are the walls. A short function may speak for itself.
MAX_LINES, MAX_FUNCTION, SPEAKS_FOR_ITSELF = 400, 50, 10


@pytest.mark.parametrize("file", ALL, ids=named)
def test_a_file_opens_by_saying_what_it_is_for(file):
    assert ast.get_docstring(tree(file)), f"{named(file)} has no docstring"


@pytest.mark.parametrize("file", [f for f in SOURCES if f.name == "__init__.py"], ids=named)
def test_an_init_holds_a_docstring_and_nothing_else(file):
    assert len(tree(file).body) == 1


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_files_and_functions_stay_readable(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    for function in functions(file):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MAX_FUNCTION, f"{named(file)}: {function.name} has {lines} lines"


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_what_others_may_use_is_documented(file):
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            short = (node.end_lineno or 0) - node.lineno < SPEAKS_FOR_ITSELF
            assert node.name.startswith("_") or ast.get_docstring(node) or short, node.name


def test_no_module_has_a_name_that_says_nothing():
    names = {part for file in ALL for part in (*file.parent.parts, file.stem)}
    assert VAGUE.isdisjoint(names)


@pytest.mark.parametrize("file", TEXTS, ids=named)
def test_nothing_is_left_for_later_and_no_machine_is_named(file):
    text = file.read_text(encoding="utf-8")
    assert not UNFINISHED.search(text)
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("file", ALL, ids=named)
def test_every_exemption_names_its_rule(file):
    text = file.read_text(encoding="utf-8")
    assert not BARE_IGNORE.search(text)
    assert not BARE_NOQA.search(text)


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_every_exemption_has_a_reason(file):
    found = list(NOQA.finditer(file.read_text(encoding="utf-8")))
    explained = {one["rules"] for one in found if one["reason"].strip()}
    assert {one["rules"] for one in found} == explained, "say why, beside the first of each"


def test_what_is_imported_is_a_declared_dependency():
    project = pyproject()["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    declared = {
        re.split(r"[\[<>=;! ]", line)[0].lower() for line in (*project["dependencies"], *extras)
    }
    distributions = packages_distributions()
    for file in SOURCES:
        for package in _imported(file) - sys.stdlib_module_names - set(PACKAGES):
            owners = {name.lower() for name in distributions.get(package, [package])}
            assert owners & _with_extras(declared), f"{named(file)} imports {package}"


def _imported(file) -> set[str]:
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def _with_extras(declared: set[str]) -> set[str]:
    # psycopg[binary,pool] brings psycopg-pool; pydantic-settings is no use without pydantic,
    # nor OpenTelemetry's SDK without its API.
    brought = {
        "psycopg": {"psycopg-pool"},
        "pydantic-settings": {"pydantic"},
        "opentelemetry-sdk": {"opentelemetry-api"},
    }
    return declared.union(*(brought.get(name, set()) for name in declared))


def test_every_sql_statement_is_used():
    store = ROOT / "httpproxy" / "store"
    code = "\n".join(file.read_text(encoding="utf-8") for file in store.rglob("*.py"))
    names = {
        name
        for file in store.rglob("*.sql")
        for name in re.findall(r"^-- name: (\w+)$", file.read_text("utf-8"), re.MULTILINE)
    }
    assert len(names) > 50
    assert [name for name in sorted(names) if f'"{name}"' not in code] == []

"""The rules of the house are run: contracts, linters and benchmarks have their commands."""

from __future__ import annotations

import re

from source import ROOT, pyproject, python_files

PURE = ("providers", "httpproxy.upstream.lane", "httpproxy.gateway.address")
IMPURE_MODULES = {"asyncio", "time", "os", "socket", "random", "secrets", "uuid"}


def _target(name: str) -> str:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:.*\n((?:\t.*\n|\n)+)", makefile, re.MULTILINE)
    assert found, f"the Makefile has no target {name}"
    return found[1]


def _contracts() -> dict[str, dict]:
    return {c["name"]: c for c in pyproject()["tool"]["importlinter"]["contracts"]}


def test_make_check_runs_format_lint_types_and_import_contracts():
    commands = _target("check")
    for command in ("ruff format --check", "ruff check", "mypy", "lint-imports"):
        assert command in commands


def test_the_benchmarks_have_their_own_command_and_are_no_tests():
    assert "tests.benchmarks" in _target("bench")
    assert "benchmarks" not in _target("test")
    options = pyproject()["tool"]["pytest"]["ini_options"]["addopts"]
    assert "--ignore=tests/benchmarks" in options


def test_what_ci_runs_is_what_everyone_runs():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"make\b.*\bcheck\b.*\btest\b", script)


def test_floors_and_pure_rooms_are_under_contract():
    contracts = _contracts()
    floors = contracts["floors"]
    assert floors["exhaustive"], "a room that stands on no floor is not noticed"
    listed = " ".join(floors["layers"]).split()
    for room in sorted({f.parent.name for f in python_files("httpproxy")} - {"httpproxy"}):
        if (ROOT / "httpproxy" / room).is_dir():
            assert room in listed, f"{room} stands on no floor"
    pure = contracts["pure rooms do no I/O"]
    assert set(PURE) <= set(pure["source_modules"])
    assert set(pure["forbidden_modules"]) >= IMPURE_MODULES


def test_every_provider_is_independent_of_the_others():
    contract = next(c for c in _contracts().values() if c["type"] == "independence")
    folders = {p.parent.name for p in (ROOT / "providers").glob("*/provider.py")}
    assert {f"providers.{name}" for name in folders} == set(contract["modules"])

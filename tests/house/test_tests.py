"""Tests about the tests: each one asserts, none is skipped, none hides another."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest
from source import functions, named, python_files, tree

FILES = [file for file in python_files("tests") if "benchmarks" not in file.parts]
TESTS = [file for file in FILES if file.name.startswith("test_")]
LEFT_OUT = {"skip", "skipif", "xfail", "importorskip"}


@cache
def _called(node: ast.AST) -> frozenset[str]:
    """Names of the functions and methods that are called somewhere inside."""
    found = set()
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Name):
                found.add(call.func.id)
            elif isinstance(call.func, ast.Attribute):
                found.add(call.func.attr)
    return frozenset(found)


def _asserts_itself(node: ast.AST) -> bool:
    expecting = {"raises", "warns", "RaisesGroup"} & _called(node)
    return bool(expecting) or any(isinstance(n, ast.Assert) for n in ast.walk(node))


@cache
def _asserting_names() -> set[str]:
    """Every function of the tests that asserts, itself or by what it calls. Seconds: not
    at import, which every test process does."""
    known = [function for file in FILES for function in functions(file)]
    asserting = {function.name for function in known if _asserts_itself(function)}
    while True:
        more = {f.name for f in known if f.name not in asserting and _called(f) & asserting}
        if not more:
            return asserting
        asserting |= more


@pytest.mark.parametrize("file", TESTS, ids=named)
def test_every_test_asserts_something(file):
    idle = [
        function.name
        for function in functions(file)
        if function.name.startswith("test_")
        and not _asserts_itself(function)
        and not _called(function) & _asserting_names()
    ]
    assert not idle


@pytest.mark.parametrize("file", FILES, ids=named)
def test_no_test_is_left_out(file):
    attributes = {n.attr for n in ast.walk(tree(file)) if isinstance(n, ast.Attribute)}
    assert LEFT_OUT.isdisjoint(attributes)


@pytest.mark.parametrize("file", TESTS, ids=named)
def test_no_test_hides_another_of_the_same_name(file):
    for scope in ast.walk(tree(file)):
        if isinstance(scope, ast.Module | ast.ClassDef):
            names = [
                n.name
                for n in scope.body
                if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            assert [name for name, times in Counter(names).items() if times > 1] == []


def test_no_two_files_share_a_name_that_pytest_would_confuse():
    names = Counter(
        file.stem
        for file in FILES
        if file.stem not in ("__init__", "conftest")
        and not (file.parent / "__init__.py").exists()
    )
    assert [name for name, times in names.items() if times > 1] == []

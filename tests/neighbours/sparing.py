"""A pytest plugin with which coverage looks at the first examples of a property only.

Tracing every line that runs makes a property of hundreds of examples three times as long,
and after the first ones it sees no line that it has not seen. So the first `TRACED`
examples of each test of hypothesis are traced, like all other tests; what comes after them,
and what hypothesis does in between, is not. No test can tell the difference.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from coverage import Coverage

TRACED = 10


class _Tracer:
    """The tracing of this process, which stops at most once until it goes on."""

    def __init__(self, coverage: Coverage | None) -> None:
        self._coverage, self._stopped = coverage, False

    def stop(self) -> None:
        if self._coverage is not None and not self._stopped:
            self._coverage.stop()
            self._stopped = True

    def go_on(self) -> None:
        if self._coverage is not None and self._stopped:
            self._coverage.start()
            self._stopped = False


@contextmanager
def untraced() -> Iterator[None]:
    """What runs inside is known to coverage from elsewhere."""
    tracer = _Tracer(Coverage.current())
    tracer.stop()
    try:
        yield
    finally:
        tracer.go_on()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Counts the examples of a test of hypothesis."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None or inspect.iscoroutinefunction(handle.inner_test):
        return (yield)
    tracer, inner = _Tracer(Coverage.current()), handle.inner_test
    handle.inner_test = _counted(inner, tracer)
    try:
        return (yield)
    finally:
        handle.inner_test = inner
        tracer.go_on()


def _counted(inner: Callable[..., Any], tracer: _Tracer) -> Callable[..., Any]:
    examples = count(1)

    @functools.wraps(inner)
    def example(*arguments: Any, **named: Any) -> Any:
        if next(examples) > TRACED:
            tracer.stop()
        return inner(*arguments, **named)

    return example

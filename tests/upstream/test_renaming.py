"""The seam, for foreign exceptions that no socket of the tests can be made to raise."""

from __future__ import annotations

import errno
import socket

import aiohttp
import pytest

from httpproxy.upstream import errors
from httpproxy.upstream.renaming import FOREIGN, renamed


def every_subclass(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*(every_subclass(child) for child in kind.__subclasses__()))


ALL = sorted(every_subclass(aiohttp.ClientError), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("began", [False, True])
def test_every_exception_of_aiohttp_is_caught_and_has_a_name_of_ours(kind, began):
    error = kind.__new__(kind)  # without arguments: the seam must not need them
    error.message, error._os_error = "", OSError()
    ours = renamed(error, began=began)
    assert issubclass(kind, FOREIGN)
    assert isinstance(ours, errors.UpstreamError)
    if began and not isinstance(ours, errors.NotConnected | errors.Unsendable):
        assert ours.sent != "no"


@pytest.mark.parametrize(
    ("foreign", "kind"),
    [
        (aiohttp.SocketTimeoutError(), errors.AnswerTimeout),
        (TimeoutError(), errors.AnswerTimeout),
        (aiohttp.ConnectionTimeoutError(), errors.ConnectTimeout),
        (BrokenPipeError(errno.EPIPE, "x"), errors.ConnectionTerminated),
        (aiohttp.ClientConnectionResetError("x"), errors.ConnectionTerminated),
        (ValueError("secret"), errors.UpstreamError),
    ],
)
def test_what_is_known_of_a_call_without_an_answer(foreign, kind):
    ours = renamed(foreign, began=False)
    assert type(ours) is kind
    assert "secret" not in str(ours)


def test_a_value_that_does_not_parse_is_unknown_before_and_malformed_after_the_beginning():
    assert renamed(ValueError(), began=False).sent == "unknown"
    assert isinstance(renamed(ValueError(), began=True), errors.Malformed)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (socket.gaierror(), errors.NameUnresolved),
        (ConnectionRefusedError(), errors.ConnectionRefused),
        (TimeoutError(), errors.ConnectTimeout),
        (ConnectionResetError(), errors.NotConnected),
        (OSError(errno.EHOSTUNREACH, "x"), errors.Unreachable),
    ],
)
def test_why_no_connection_was_made(cause, kind):
    error = aiohttp.ClientConnectorError.__new__(aiohttp.ClientConnectorError)
    error._os_error = cause
    assert type(renamed(error, began=False)) is kind


def test_an_error_that_is_ours_already_stays_itself():
    error = errors.Malformed()
    assert renamed(error, began=True) is error

"""The tables of what may be sent again, and the reading of Retry-After."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpproxy.upstream import errors
from httpproxy.upstream.retry import (
    ATTEMPTS,
    MAX_RETRY_AFTER,
    MAX_WAIT,
    PASSING,
    backoff,
    is_passing,
    pause_asked,
    retry_after,
    wait_before,
)
from providers.http import Response, headers

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("007", 7.0),
        ("30", 30.0),
        ("3600", MAX_RETRY_AFTER),
        ("99999999999999999999", MAX_RETRY_AFTER),
        ("9" * 10_000, MAX_RETRY_AFTER),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Wed Oct 21 07:28:30 2015", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("5 seconds", None),
        ("NaN", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 77:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_retry_after_in_seconds_as_a_date_or_as_nonsense(value, seconds):
    assert retry_after(value, NOW) == seconds


@given(
    st.text(max_size=60)
    | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ \w*", fullmatch=True)
)
def test_retry_after_of_anything_is_a_bounded_time_or_nothing(value):
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


def test_the_pause_of_an_answer_is_its_retry_after_field():
    assert pause_asked(headers(("retry-after", "7")), NOW) == 7.0
    assert pause_asked(headers(), NOW) is None


def test_a_read_is_asked_again_when_the_trouble_can_pass():
    passing = {status for status in range(200, 600) if is_passing(Response(status), never)}
    assert passing == {408, 425, 429, 500, 502, 503, 504}


def never(_: Response) -> bool:
    return False


def test_a_terminal_refusal_is_not_passing():
    assert is_passing(Response(429), never)
    assert not is_passing(Response(429), lambda answer: True)
    assert not is_passing(Response(404), never)


@pytest.mark.parametrize(
    "lasting",
    [
        errors.CertificateRejected,
        errors.TlsFailed,
        errors.Unsendable,
        errors.WaitExpired,
        errors.Malformed,
        errors.AnswerTooLarge,
        errors.HeadTooLarge,
        errors.UpgradeAnswered,
    ],
)
def test_a_trouble_that_will_be_the_same_is_not_among_those_that_pass(lasting):
    assert not issubclass(lasting, PASSING)


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_the_backoff_doubles_within_bounds_and_is_spread_by_the_dice(attempt, dice):
    assert backoff(attempt, 0.0) <= backoff(attempt, dice) <= 2 * backoff(attempt, 0.0)
    assert backoff(attempt, 0.0) <= backoff(attempt + 1, 0.0) <= MAX_WAIT
    assert backoff(1, 0.0) == 0.25
    assert backoff(2, 0.0) == 0.5


def test_the_wait_is_what_the_answer_asks_for_and_then_the_backoff():
    asking = Response(429, headers(("Retry-After", "20")))
    hasty = Response(429, headers(("Retry-After", "0")))
    garbled = Response(429, headers(("Retry-After", "a while")))
    assert wait_before(1, asking, NOW, 0.0) == 20.25
    assert wait_before(1, hasty, NOW, 0.0) == 0.25
    assert wait_before(1, garbled, NOW, 0.0) == 0.25
    assert wait_before(3, None, NOW, 0.0) == 1.0
    assert ATTEMPTS > 1


def test_those_who_were_told_the_same_time_do_not_come_back_together():
    asking = Response(429, headers(("Retry-After", "20")))
    moments = {wait_before(1, asking, NOW, dice / 10) for dice in range(10)}
    assert len(moments) == 10
    assert max(moments) - min(moments) > 0.2


def test_no_wait_is_longer_than_what_may_be_asked_and_the_longest_step():
    asking = Response(503, headers(("Retry-After", "86400")))
    assert wait_before(50, asking, NOW, 0.999) <= MAX_RETRY_AFTER + MAX_WAIT

"""`--rate`: what it says is a ceiling, and what it does not say is not stored as one."""

from __future__ import annotations

import pytest

from httpproxy.cli.failures import Failure
from httpproxy.cli.sync.creation import read_rates
from providers.catalog import PROVIDERS
from providers.spec import Budget

HUBSPOT = PROVIDERS["hubspot"]


@pytest.mark.parametrize(
    ("texts", "rates"),
    [
        ((), ()),
        (("50/10",), (Budget("standard", 50, 10.0),)),
        (("search=3/0.5",), (Budget("search", 3, 0.5),)),
        (("190/10/4",), (Budget("standard", 190, 10.0, 4),)),
        (("50/10", "standard=60/10"), (Budget("standard", 60, 10.0),)),
    ],
)
def test_only_what_was_said_is_set(texts: tuple[str, ...], rates: tuple[Budget, ...]):
    assert read_rates(HUBSPOT, texts) == rates


@pytest.mark.parametrize("text", ["", "5", "0/1", "5/0", "5/-1", "nosuch=5/1", "5/1/x"])
def test_a_rate_that_cannot_be_read_is_refused(text: str):
    with pytest.raises(Failure, match="--rate"):
        read_rates(HUBSPOT, (text,))

"""Every test of this folder runs once for each provider of the catalog."""

from __future__ import annotations

import pytest

from providers.catalog import PROVIDERS
from providers.spec import Provider


@pytest.fixture(params=sorted(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> Provider:
    return PROVIDERS[request.param]

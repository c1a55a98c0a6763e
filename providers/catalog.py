"""The providers there are: one import and one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.airtable.provider import AIRTABLE
from providers.hubspot.provider import HUBSPOT
from providers.spec import Provider

PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.name: provider
    for provider in (
        AIRTABLE,
        HUBSPOT,
    )
}

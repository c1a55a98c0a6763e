"""The providers of this version: what their credentials are made of. Pure."""

from __future__ import annotations

from pydantic import Field

from httpproxy.management.models import Model, RateLimit
from httpproxy.management.paging import Page
from providers.catalog import PROVIDERS
from providers.spec import Provider


class PropertyDocument(Model):
    """A member of a credential. Secret ones are sealed and never shown again."""

    name: str
    title: str
    help: str
    secret: bool
    required: bool


class KindDocument(Model):
    """A kind of credential, and where a user gets one."""

    name: str
    title: str
    help: str
    refreshed: bool = Field(description="Its access tokens end, and are refreshed.")
    properties: list[PropertyDocument]


class ProviderDocument(Model):
    """A provider, and what a sync of it needs."""

    name: str
    title: str
    account_property: str = Field(description="The property that names an account.")
    credential_kinds: list[KindDocument]
    rate_limits: dict[str, RateLimit] = Field(description="A new sync's, by budget.")


def providers() -> Page[ProviderDocument]:
    """Every provider that there is."""
    return Page([_told(each) for each in PROVIDERS.values()])


def _told(each: Provider) -> ProviderDocument:
    return ProviderDocument(
        name=each.name,
        title=each.title,
        account_property=each.account_property,
        credential_kinds=[
            KindDocument(
                name=kind.name,
                title=kind.title,
                help=kind.help,
                refreshed=kind.oauth is not None,
                properties=[
                    PropertyDocument(
                        name=property_.name,
                        title=property_.title,
                        help=property_.help,
                        secret=property_.secret,
                        required=property_.required,
                    )
                    for property_ in kind.properties
                ],
            )
            for kind in each.credential_kinds
        ],
        rate_limits={
            rate.name: RateLimit(
                allowed_requests=rate.allowed_requests,
                interval=rate.interval,
                max_concurrent_requests=rate.max_concurrent_requests,
            )
            for rate in each.default_rates
        },
    )

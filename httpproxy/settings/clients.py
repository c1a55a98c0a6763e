"""What the gateway bears from its clients: how long, how many, and whom it believes."""

from __future__ import annotations

from pydantic import BaseModel

from httpproxy.settings.kinds import (
    AT_LEAST_ONE,
    SECONDS,
    AtLeastOne,
    Networks,
    Seconds,
    setting,
)


class ClientSettings(BaseModel):
    """The settings of the gateway's side towards its clients."""

    head_timeout: Seconds = setting(
        10.0,
        "How long the head of a request may take to arrive (then 408), and how long a new"
        " connection may stay silent.",
        SECONDS,
    )
    idle_timeout: Seconds = setting(
        75.0,
        "How long a connection is kept open for its next request. A proxy in front must give"
        " its own up earlier.",
        SECONDS,
    )
    max_client_connections: AtLeastOne = setting(
        4096,
        "How many connections of clients may be open at once. Beyond that, who holds most of"
        " them loses an idle one. Those of `trusted_proxies` do not count.",
        AT_LEAST_ONE,
    )
    trusted_proxies: Networks = setting(
        ("127.0.0.0/8", "::1"),
        "Who is believed when it says for whom it calls (`X-Forwarded-For`): the addresses of"
        " nginx or of a load balancer. What it says is never told to an API.",
        "addresses or networks with a comma between them, such as 10.0.0.0/8",
    )

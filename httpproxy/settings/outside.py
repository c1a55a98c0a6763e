"""What is seen from outside: the second door, readiness, access lines, traces, replicas."""

from __future__ import annotations

from pydantic import BaseModel

from httpproxy.settings.kinds import (
    AT_LEAST_ONE,
    PORT,
    SECONDS,
    AtLeastOne,
    Endpoint,
    Port,
    Replicas,
    Seconds,
    setting,
)


class OutsideSettings(BaseModel):
    """The settings of the port that operators look at."""

    api_host: str = setting(
        "127.0.0.1",
        "The address that health, metrics and `/v1` listen on. Without a key, `/metrics`"
        " and `/readyz` tell everyone who reaches it how the service fares.",
        "an address or host name of this machine, such as 127.0.0.1 or 0.0.0.0",
        min_length=1,
    )
    api_port: Port = setting(8081, "The port for health, metrics and `/v1`.", PORT)
    ready_grace: Seconds = setting(
        10.0,
        "How long the database may be away, or commits stand still, before `/readyz` says"
        " that this process should get no calls.",
        SECONDS,
    )
    access_log: bool = setting(
        False,
        "Log a line for each call: method, route, status, receipt, milliseconds; no path,"
        " no query.",
        "true or false",
    )
    otlp_endpoint: Endpoint = setting(
        None,
        "Where traces are sent by OTLP over HTTP; needs `pip install 'httpproxy[otel]'`."
        " Without it there are none.",
        "an http or https URL such as http://127.0.0.1:4318; /v1/traces is added to one"
        " without a path",
    )
    max_streams: AtLeastOne = setting(
        100,
        "How many readers of `/v1/events` and `/v1/records` may listen at once (in each"
        " process). Who reads pages does not count.",
        AT_LEAST_ONE,
    )
    max_streams_per_key: AtLeastOne = setting(
        50,
        "How many of these readers one API key may have (in each process).",
        AT_LEAST_ONE,
    )
    replicas: Replicas = setting(
        {},
        "Replicas of the database that `/v1/wait` can wait for, each by a name.",
        'a table of name = DSN, such as {"eu": "postgresql://reader@replica:5432/app"}',
    )

"""What every process needs: the database, the addresses, the limits, the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ByteSize, Field, SecretStr

from httpproxy.settings.kinds import (
    AT_LEAST_ONE,
    DAYS,
    PORT,
    SECONDS,
    SIZE,
    AtLeastOne,
    Days,
    Dsn,
    Level,
    LogFormat,
    OnDatabaseDown,
    Origins,
    Port,
    Pseudonym,
    PublicUrl,
    Roles,
    Seconds,
    SecretKeys,
    setting,
)


class ServiceSettings(BaseModel):
    """The settings of a process, whatever it does."""

    database_url: Dsn = setting(
        None,
        "The Postgres to write to. Without it an embedded one is started in `data_dir`."
        " `DATABASE_URL` works as well.",
        "a DSN such as postgresql://user:password@host:5432/database; signs such as @ and / of"
        " the password as %40 and %2F",
    )
    database_wait: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = setting(
        30.0,
        "How long `httpproxy serve` waits at its start for a database that does not answer yet."
        " One that refuses (a wrong password, an unknown database) is not waited for.",
        "seconds, at most 86400; 0 waits for none",
    )
    data_dir: Path = setting(
        Path(".httpproxy"),
        "Where the embedded Postgres, the key file and the sandbox keep their data.",
        "a folder that can be written to",
    )
    secret_key: SecretStr | None = setting(
        None,
        "Seals the stored credentials. Without it a key is made once and kept in"
        " `data_dir`; set it when several machines share one database.",
        "at least 32 characters, such as the output of `openssl rand -base64 32`",
        min_length=32,
    )
    former_secret_keys: SecretKeys = setting(
        (),
        "Further keys that stored credentials are opened with: those of before, or the one"
        " that comes next. How a key is changed while processes run:"
        " [security.md](security.md#changing-the-secret-key).",
        "keys of at least 32 characters, with commas between them, or a list as JSON",
    )
    roles: Roles = setting(
        ("gateway", "sync", "api"),
        "What `httpproxy serve` does in this process. Processes on one database share the"
        " rate limits, whatever they do.",
        "gateway, sync, api (health, metrics, `/v1`), with commas between them",
    )
    workers: Annotated[int, Field(ge=1, le=256)] = setting(
        1,
        "How many processes `httpproxy serve` starts, to share the gateway's port on one"
        " machine: about one per core ([processes.md](processes.md)).",
        "a whole number from 1 to 256",
    )
    gateway_host: str = setting(
        "127.0.0.1",
        "The address that the gateway listens on.",
        "an address or host name of this machine, such as 127.0.0.1 or 0.0.0.0",
        min_length=1,
    )
    gateway_port: Port = setting(8080, "The port that the gateway listens on.", PORT)
    public_url: PublicUrl = setting(
        None,
        "How clients reach the gateway, where that is not its own address (behind nginx,"
        " behind TLS). API roots are printed with it.",
        "an http or https URL without query, such as https://proxy.example.com",
    )
    pseudonym: Pseudonym = setting(
        "httpproxy",
        "The gateway's name in `Via` and `Proxy-Status`.",
        "a letter, then letters, digits, `.`, `_` or `-`",
    )
    upstreams: Origins = setting(
        {},
        "Where an API host is really found, for sandboxes and egress proxies. The `Host`"
        " header keeps the API's own name.",
        'a table of host = origin, such as {"api.airtable.com": "http://127.0.0.1:8090"}',
    )
    upstream_ca_file: Path | None = setting(
        None,
        "A PEM file of authorities to trust towards the APIs, in place of the system's.",
        "a readable PEM file",
    )
    max_request_bytes: ByteSize = setting(
        ByteSize(16 * 1024 * 1024), "The largest request body that is accepted.", SIZE, gt=0
    )
    max_response_bytes: ByteSize = setting(
        ByteSize(64 * 1024 * 1024), "The largest answer that is passed on.", SIZE, gt=0
    )
    max_connections: AtLeastOne = setting(
        512, "How many connections to the APIs may be open at once.", AT_LEAST_ONE
    )
    permit_timeout: Seconds = setting(
        30.0, "How long a call waits for its turn under the rate limit (then 504).", SECONDS
    )
    connect_timeout: Seconds = setting(10.0, "How long connecting to an API may take.", SECONDS)
    upstream_timeout: Seconds = setting(
        120.0, "How long one call to an API may take in all.", SECONDS
    )
    commit_timeout: Seconds = setting(
        5.0,
        "How long an answer waits for its commit; after that it is sent with the receipt"
        " `deferred`.",
        SECONDS,
    )
    on_database_down: OnDatabaseDown = setting(
        "refuse",
        "What becomes of writes while the database is away: refused unsent, or sent to the"
        " API and committed when it is back. If the process ends before that, such a write"
        " is missing until the next sweep.",
        "refuse or forward",
    )
    idempotency_hours: Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)] = setting(
        24.0,
        "How long an `Idempotency-Key` is remembered, and the answer that is kept for it.",
        "hours, more than 0 and at most 720",
    )
    event_retention_days: Days = setting(
        30.0,
        "How long events are kept. They are dropped by the day (UTC), and records that were"
        " deleted are forgotten with them; every other record stays in the records stream.",
        DAYS,
    )
    log_level: Level = setting("info", "What is logged.", "debug, info, warning or error")
    log_format: LogFormat = setting(
        "text", "How it is logged: for people, or one JSON object a line.", "text or json"
    )
    uvloop: bool = setting(
        True, "Use uvloop where it is installed; off means asyncio's own loop.", "true or false"
    )
    sandbox_host: str = setting(
        "127.0.0.1",
        "The address that `httpproxy sandbox` listens on.",
        "an address or host name of this machine",
        min_length=1,
    )
    sandbox_port: Port = setting(8090, "The port that `httpproxy sandbox` listens on.", PORT)

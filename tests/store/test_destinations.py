"""A user's DSN: what libpq would do with it beside connecting, it may not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from psycopg.conninfo import conninfo_to_dict

from httpproxy.store.destinations import BadDestination, check_dsn
from httpproxy.upstream.guard import Prohibited, look_up

GOOD = "postgresql://writer:pw-SECRET@db.example:6432/app"


async def public(host: str, port: int) -> Sequence[str]:
    assert (host, port) in (("db.example", 6432), ("db.example", 5432))
    return ["198.20.0.9", "198.20.0.10"]


async def test_a_dsn_is_built_anew_for_the_checked_address_and_the_proven_name() -> None:
    parsed = conninfo_to_dict(await check_dsn(GOOD, public))
    assert parsed == {
        "host": "db.example",
        "hostaddr": "198.20.0.9",
        "port": "6432",
        "user": "writer",
        "password": "pw-SECRET",
        "dbname": "app",
        "sslmode": "verify-full",
        "sslrootcert": "system",
        "sslcertmode": "disable",
        "gssencmode": "disable",
        "connect_timeout": "10",
    }
    words = "host=db.example user=writer password='pw SECRET' dbname=app"
    assert conninfo_to_dict(await check_dsn(words, public))["password"] == "pw SECRET"


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "db.example",
        "postgresql://writer:pw-SECRET@/app",
        "postgresql://writer:pw-SECRET@%2Fvar%2Frun%2Fpostgresql/app",
        "host=/var/run/postgresql user=u password=pw-SECRET dbname=d",
        "host=@abstract user=u password=pw-SECRET dbname=d",
        "host='' user=u password=pw-SECRET dbname=d",
        "postgresql://u:pw-SECRET@db.example,10.0.0.1/app",
        "postgresql://u:pw-SECRET@db.example:5432,10.0.0.1:5432/app",
        "postgresql://u:pw-SECRET@db.example/app?host=10.0.0.1,db.example",
        "host=db.example port=5432,1 user=u password=pw-SECRET dbname=d",
        "host=db.example port=0 user=u password=pw-SECRET dbname=d",
        "host=db.example port=x user=u password=pw-SECRET dbname=d",
        "postgresql://u:pw-SECRET@db.example/app?hostaddr=127.0.0.1",
        "postgresql://u:pw-SECRET@db.example/app?service=ours",
        "postgresql://u:pw-SECRET@db.example/app?servicefile=/etc/passwd",
        "postgresql://u@db.example/app?passfile=/etc/passwd",
        "postgresql://u@db.example/app",
        "postgresql://:pw-SECRET@db.example/app",
        "postgresql://u:pw-SECRET@db.example",
        "postgresql://u:pw-SECRET@db.example/app?sslmode=disable",
        "postgresql://u:pw-SECRET@db.example/app?sslmode=prefer",
        "postgresql://u:pw-SECRET@db.example/app?sslmode=require",
        "postgresql://u:pw-SECRET@db.example/app?sslkey=/etc/ssl/private/key",
        "postgresql://u:pw-SECRET@db.example/app?sslcert=/etc/x&sslrootcert=/etc/y",
        "postgresql://u:pw-SECRET@db.example/app?sslkeylogfile=/tmp/x",
        "postgresql://u:pw-SECRET@db.example/app?options=-csearch_path%3Dx",
        "postgresql://u:pw-SECRET@db.example/app?load_balance_hosts=random",
        "postgresql://u:pw-SECRET@db.example/app?require_auth=none",
        "postgresql://u:pw-SECRET@db.example/app?unheard_of=1",
        "postgresql://u:pw-SECRET@d%00b.example/app",
        "postgresql://u:pw-SECRET@d\u00e4.example/app",
    ],
)
async def test_what_reads_files_or_opens_other_doors_is_refused_and_quotes_nothing(
    dsn: str,
) -> None:
    with pytest.raises(BadDestination) as caught:
        await check_dsn(dsn, public)
    shown = repr(caught.value) + str(caught.value)
    assert "SECRET" not in shown


async def test_the_operator_may_let_users_choose_a_weaker_tls() -> None:
    dsn = GOOD + "?sslmode=require"
    checked = conninfo_to_dict(await check_dsn(dsn, public, weakest_tls="require"))
    assert checked["sslmode"] == "require"
    assert "sslrootcert" not in checked
    with pytest.raises(BadDestination, match="verify-full or verify-ca or require"):
        await check_dsn(GOOD + "?sslmode=allow", public, weakest_tls="require")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "127.1"]
)
async def test_a_host_of_the_own_network_is_prohibited(host: str) -> None:
    with pytest.raises(Prohibited):
        await check_dsn(GOOD.replace("db.example", host), look_up)


async def test_a_host_without_an_address_is_refused() -> None:
    async def nothing(host: str, port: int) -> Sequence[str]:
        return []

    with pytest.raises(BadDestination, match="no address"):
        await check_dsn(GOOD, nothing)

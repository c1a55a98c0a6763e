"""What is told of stored tokens while they are not refreshed, and once they are again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from api.desk import AIRTABLE, open_desk
from outside.test_metrics import value

from httpproxy.api.metrics import standing
from tests.store.world import TASKS

GRANT = AIRTABLE.grant
TOKEN = GRANT.tokens.access_token
REFRESHES = "httpproxy_token_refreshes_total"


async def test_a_refresh_that_fails_is_told_at_once_and_no_more_once_one_succeeds(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "FRESH", 0.0)
    async with open_desk(database_dsn, tmp_path) as desk:
        app = {"client_id": GRANT.app.client_id, "client_secret": GRANT.app.client_secret}
        made = await desk.post("/v1/oauth-apps", {"provider": "airtable", **app})
        whose = {"base_id": AIRTABLE.account, "oauth_app_id": made.body["id"]}
        tokens = {"access_token": TOKEN, "refresh_token": GRANT.tokens.refresh_token}
        body = {"kind": GRANT.kind, **whose, **tokens, "expires_in": 200}
        stored = (await desk.post("/v1/credentials", body)).body["id"]
        sync = await desk.sync("crm", credential=stored, collections=(TASKS,))
        before = (await desk.get("/v1/syncs/crm")).body["health"]
        assert (before["ok"], before["error"]) == (True, None)

        endpoint = {"host": "airtable.com", "path": "^/oauth2/v1/token"}
        fault = {"kind": "status", "status": 503, "count": 1, **endpoint}
        await asyncio.to_thread(desk.apis.order, fault)
        assert await desk.office.tokens.replaced(stored, TOKEN) is None
        (listed,) = (await desk.get("/v1/syncs")).body
        found = listed["health"]
        assert (found["ok"], found["phase"]) == (False, before["phase"])
        assert "its credential's tokens were not refreshed: 503" in found["error"]
        assert found["collections"][0]["remedy"] == found["remedy"]
        text = (await desk.door.ask("/metrics")).text
        assert value(text, REFRESHES, provider="airtable", outcome="failed") == 1
        assert value(text, "httpproxy_credentials_unrefreshed") == 1
        assert value(text, "httpproxy_credentials_expiring") == 1

        with psycopg.connect(database_dsn) as connection:  # the pause is over
            connection.execute("UPDATE httpproxy.credential SET refresh_at = now()")
        assert await desk.office.tokens.replaced(stored, TOKEN) not in (None, TOKEN)
        assert (await desk.get("/v1/syncs/crm")).body["health"] == before
        text = (await desk.door.ask("/metrics")).text
        assert value(text, REFRESHES, provider="airtable", outcome="refreshed") == 1
        assert value(text, REFRESHES, provider="airtable", outcome="failed") == 1
        assert value(text, "httpproxy_credentials_unrefreshed") == 0
        assert value(text, "httpproxy_credentials_expiring") == 0

        # Nobody is called for a token that no sync at work needs.
        with psycopg.connect(database_dsn) as connection:
            connection.execute("UPDATE httpproxy.credential SET expires_at = now()")
        text = (await desk.door.ask("/metrics")).text
        assert value(text, "httpproxy_credentials_expiring") == 1
        await desk.registry.set_status(sync, "paused")
        text = (await desk.door.ask("/metrics")).text
        assert value(text, "httpproxy_credentials_expiring") == 0

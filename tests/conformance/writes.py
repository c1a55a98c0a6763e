"""Calls that write, for each provider: every kind once, and as many as one wants at random."""

from __future__ import annotations

import json
from typing import Any

import airtable_writes
import hubspot_writes
from driving import Account

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE
from providers.http import Request, headers
from providers.hubspot.provider import HUBSPOT

JSON_HEADERS = headers(("Content-Type", "application/json"))

ACCEPTED = {"airtable": airtable_writes.ACCEPTED, "hubspot": hubspot_writes.ACCEPTED}
FAULTY = {"airtable": airtable_writes.FAULTY, "hubspot": hubspot_writes.FAULTY}
RANDOM = {"airtable": airtable_writes.tasks(), "hubspot": hubspot_writes.contacts()}
WORDS = {"airtable": airtable_writes.WORDS, "hubspot": hubspot_writes.WORDS}


def call(provider: str, line: str, body: Any = None) -> Request:
    """A call from "METHOD /path", where Airtable's paths are below the base."""
    method, _, path = line.partition(" ")
    content = b"" if body is None else json.dumps(body).encode()
    if provider == "airtable":
        api, content_host = AIRTABLE.hosts
        host = content_host if path.endswith("/uploadAttachment") else api
        return Request(method, host, f"/v0/{BASE}{path}", JSON_HEADERS, content)
    return Request(method, HUBSPOT.hosts[0], path, JSON_HEADERS, content)


def prepared(account: Account) -> None:
    """Adds to a fresh sandbox what the calls below need."""
    if account.provider.name == "hubspot":
        for line, body in hubspot_writes.SETUP:
            answer = account.call(call("hubspot", line, body))
            assert answer.ok, answer.body

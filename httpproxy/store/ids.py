"""Ids of what is kept: a word for its kind, and 100 random bits."""

from __future__ import annotations

import secrets
from base64 import b32encode


def new_id(kind: str) -> str:
    """An id that nothing has: `sync_…`, `cred_…`, `app_…`."""
    return f"{kind}_{b32encode(secrets.token_bytes(13)).decode().lower()[:20]}"

"""Changes to documents: merge patches (RFC 7396), and tags that tell versions apart."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import orjson
from pydantic import JsonValue

from httpproxy.management.models import Model
from httpproxy.management.problems import Declined

ATTEMPTS: Final = 3  # at a change that others overtake


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """The target with the patch applied: objects merge, null takes a member away, and
    everything else replaces what was there."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def etag_of(settable: Model) -> str:
    """The entity tag of a document: changes when, and only when, what can be set does."""
    content = orjson.dumps(settable.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    return f'"{sha256(content).hexdigest()[:20]}"'


def require_match(etag: str, if_match: str | None) -> None:
    """Raises Declined (412) unless `if_match`, the header's value, names this tag; None, and
    "*", match everything."""
    if if_match is None:
        return
    wanted = {each.strip() for each in if_match.split(",")}
    if not wanted & {"*", etag}:
        raise Declined(
            "changed_meanwhile",
            "It is not any more what If-Match names. Get it anew, and decide again.",
            "If-Match",
        )


def overtaken() -> Declined:
    """The word that others changed it at every attempt."""
    return Declined("changed_meanwhile", "Others change it all the time; try again.")

"""Raw request targets, as they came: what of them may be handed on, and what may not.

Nothing is decoded, joined or normalised. What two readers could understand differently is
refused: dot segments, backslashes and control bytes, plain or percent-encoded. "%2F", "//"
and a bare "?" mean what the API takes them to mean, and travel on.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from httpproxy.exchange.problems import Rejected

MAX_TARGET: Final = 17_000  # Airtable takes URLs of 16,000, and our prefix comes on top

# Possessive, so that a long target costs one pass: what a run took is never given back.
_VALID: Final = re.compile(
    r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]]++|%[0-9A-Fa-f]{2})*+", re.ASCII
)
_SUSPECT: Final = re.compile(r"%(?:[01][0-9A-Fa-f]|2[eE]|5[cC]|7[fF])|/\.", re.ASCII)
_DOTS: Final = frozenset({b".", b".."})
_FORBIDDEN: Final = frozenset(bytes(range(32)) + b"\\\x7f")


def origin_form(target: str) -> str:
    """The target without the scheme and authority of the absolute form.

    A server must accept `GET http://host/path`; whom it names does not matter here.
    """
    if target[:1] == "/":
        return target
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        return "/" + rest.partition("/")[2]
    raise Rejected("bad_target", "The request target is neither a path nor an http URL.")


def checked(target: str, max_length: int) -> tuple[str, str, str]:
    """The target's path, "?" or "", and query; in origin form. Raises Rejected (400, 414)."""
    if len(target) > max_length:
        raise Rejected("target_too_long", f"The target is longer than {max_length} bytes.")
    if target[:1] != "/":
        target = origin_form(target)
    if not _VALID.fullmatch(target):
        raise Rejected(
            "bad_target",
            "The target holds a character that a URL must percent-encode, a fragment,"
            " or a percent sign that is not followed by two hex digits.",
        )
    path, mark, query = target.partition("?")
    if ("%" in path or "/." in path) and _SUSPECT.search(path):
        _refuse_ambiguous(path)
    if "%00" in query:
        raise Rejected("bad_target", "The query holds an encoded NUL (%00).")
    return path, mark, query


def _refuse_ambiguous(path: str) -> None:
    for segment in path.split("/"):
        raw = unquote_to_bytes(segment)
        if raw in _DOTS:
            raise Rejected("bad_target", "The path holds a dot segment (. or ..).")
        if not _FORBIDDEN.isdisjoint(raw):
            raise Rejected(
                "bad_target", "The path holds an encoded control character or backslash."
            )

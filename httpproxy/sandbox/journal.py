"""The last requests that the sandbox got, for people's assertions; no tokens.

What a caller proves itself with is masked wherever it turns up: in its header, and as
a text in targets and bodies (HubSpot's token routes carry the token there).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

from providers.http import SECRET_HEADERS, Request
from providers.record import JSON

KEPT: Final = 1000
_BODY: Final = 64 * 1024
_MASK: Final = "…"
_TOKEN_MEMBER: Final = re.compile(
    r'("(?:token|tokenKey|access_token|refresh_token|client_secret)"\s*:\s*)"[^"]*"'
)
_TOKEN_FIELD: Final = re.compile(r"((?:^|&)(?:refresh_token|client_secret|code)=)[^&]*")
_TOKEN_SEGMENT: Final = re.compile(r"(/(?:access|refresh)-tokens/)[^/?]+")


class Journal:
    """Requests in the order in which they came; the oldest are forgotten."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._entries: deque[dict[str, JSON]] = deque(maxlen=KEPT)
        self._numbers = count(1)
        self._secrets = tuple(secret for secret in secrets if secret)

    def note(self, request: Request, now: float) -> dict[str, JSON]:
        """Begin an entry; the server completes it with `status`, `applied`, `faults`."""
        scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
        entry: dict[str, JSON] = {
            "id": next(self._numbers),
            "time": round(now, 6),
            "method": request.method,
            "host": request.host,
            "target": self._masked(request.target, credential),
            "headers": [
                [name, self._header(name, value, scheme, credential)]
                for name, value in request.headers.items()
            ],
            "body": self._body(request, credential),
            "body_bytes": len(request.body),
            "status": None,
            "applied": False,
            "faults": [],
        }
        self._entries.append(entry)
        return entry

    def entries(self, wanted: Mapping[str, str]) -> list[JSON]:
        """Oldest first; `wanted` may hold method, host and path (a regular expression)."""
        path = re.compile(wanted.get("path", ""))
        return [
            entry
            for entry in self._entries
            if wanted.get("method", entry["method"]) == entry["method"]
            and wanted.get("host", entry["host"]) == entry["host"]
            and path.search(str(entry["target"]))
        ]

    def clear(self) -> None:
        self._entries.clear()

    def _body(self, request: Request, credential: str) -> str:
        text = self._masked(request.body[:_BODY].decode("utf-8", "replace"), credential)
        return _TOKEN_FIELD.sub(rf"\1{_MASK}", text)

    def _header(self, name: str, value: str, scheme: str, credential: str) -> str:
        if name.lower() == "authorization":
            return f"{scheme} {_MASK}" if credential else _MASK
        return _MASK if name.lower() in SECRET_HEADERS else self._masked(value, credential)

    def _masked(self, text: str, credential: str) -> str:
        text = _TOKEN_SEGMENT.sub(rf"\1{_MASK}", _TOKEN_MEMBER.sub(rf'\1"{_MASK}"', text))
        for secret in (credential, *self._secrets):
            if len(secret) > 3:
                text = text.replace(secret, _MASK)
        return text

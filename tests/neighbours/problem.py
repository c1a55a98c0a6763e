"""What every answer of our own must look like."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from neighbours.rawclient import Answer

# RFC 9209: a name, then parameters; `details` is a structured-field string.
_PROXY_STATUS = re.compile(
    r'(?:httpproxy|nginx); error=[a-z_]+(; details="(?:[ !#-\[\]-~]|\\["\\])*")?', re.ASCII
)
_TYPES: dict[str, type] = {
    "type": str,
    "title": str,
    "status": int,
    "detail": str,
    "instance": str,
    "source": str,
    "code": str,
    "request_id": str,
    "sent": str,
    "retry_safe": bool,
}


def by_nginx(answer: Answer) -> bool:
    """Whether nginx, in front of us, answered by itself."""
    return answer.get("Proxy-Status").startswith("nginx;")


def assert_problem(answer: Answer) -> dict[str, Any]:
    """Asserts the form of one of our errors, or of nginx's, and returns its members."""
    assert answer.version == "HTTP/1.1"
    assert answer.reason or by_nginx(answer)  # nginx has no word for 431
    assert answer.get("Content-Type") == "application/problem+json"
    assert answer.get("Cache-Control") == "no-store"
    assert answer.get("Content-Length") == str(len(answer.body))
    assert parsedate_to_datetime(answer.get("Date")).tzinfo is not None
    assert _PROXY_STATUS.fullmatch(answer.get("Proxy-Status")), answer.get("Proxy-Status")
    members: dict[str, Any] = orjson.loads(answer.body)
    assert members.get("part") == ("nginx" if by_nginx(answer) else None)
    assert {n: type(members.get(n)) for n in _TYPES} == _TYPES
    assert members["source"] == "proxy"
    assert members["status"] == answer.status
    assert members["sent"] in ("no", "yes", "unknown")
    assert members["title"] != members["detail"] != ""
    receipt = answer.get("Httpproxy-Commit")
    assert receipt.startswith("none")
    assert members["request_id"] in receipt
    return members

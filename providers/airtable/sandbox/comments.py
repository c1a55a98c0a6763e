"""Comments on records."""

from __future__ import annotations

import re
from typing import Final

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.errors import invalid, not_found, not_permitted
from providers.airtable.sandbox.state import iso
from providers.record import JSON

PAGE: Final = 100
_MENTION: Final = re.compile(r"@\[(usr\w+)\]", re.ASCII)


def listing(call: Call) -> JSON:
    """Newest first; `offset` is the id of the comment with which the next page begins."""
    query = dict(call.request.query)
    size = query.get("pageSize") or str(PAGE)
    if not (size.isascii() and size.isdigit() and len(size) < 4 and 0 < int(size) <= PAGE):
        raise invalid()
    newest = call.record.comments[::-1]
    ids = [comment["id"] for comment in newest]
    offset = query.get("offset")
    if offset and offset not in ids:
        raise invalid()
    start = ids.index(offset) if offset else 0
    following = ids[start + int(size) :]
    return {
        "comments": list(newest[start : start + int(size)]),
        "offset": following[0] if following else None,
    }


def create(call: Call) -> JSON:
    """A new comment, or an answer to one. Raises Refusal."""
    made: dict[str, JSON] = {
        "id": call.world.new_id("com"),
        "author": _author(call),
        "text": _text(call),
        "createdTime": iso(call.now),
        "lastUpdatedTime": None,
        "mentioned": _mentioned(call),
    }
    parent = call.asked.get("parentCommentId")
    if parent is not None:
        if not any(comment["id"] == parent for comment in call.record.comments):
            raise invalid()
        made["parentCommentId"] = parent
    call.record.comments.append(made)
    return made


def update(call: Call) -> JSON:
    comment = _own(call)
    comment["text"] = _text(call)
    comment["mentioned"] = _mentioned(call)
    comment["lastUpdatedTime"] = iso(call.now)
    return comment


def delete(call: Call) -> JSON:
    comment = _own(call)
    call.record.comments.remove(comment)
    return {"id": comment["id"], "deleted": True}


def _own(call: Call) -> dict[str, JSON]:
    wanted = call.variables["comment"]
    found = next((c for c in call.record.comments if c["id"] == wanted), None)
    if found is None:
        raise not_found(as_string=call.switches.missing_as_string)
    if found["author"] != _author(call):
        raise not_permitted()
    return found


def _author(call: Call) -> dict[str, JSON]:
    return {"id": call.token.user, "email": call.token.email, "name": call.token.name}


def _text(call: Call) -> str:
    text = call.asked.get("text")
    if isinstance(text, str) and text:
        return text
    raise invalid()


def _mentioned(call: Call) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for user in _MENTION.findall(_text(call)):
        person = call.world.person(user)
        if person is not None:
            found[user] = {
                "type": "user",
                "id": user,
                "displayName": person["name"],
                "email": person["email"],
            }
    return found

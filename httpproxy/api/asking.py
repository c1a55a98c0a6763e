"""From a request to an Ask: the key, the parameters, the body; each wrong member is named.

The order is the one in which a caller may learn things: first who they are, then whether
they may, then what is wrong with what they sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel, JsonValue, ValidationError

from httpproxy.api.operations import Operation
from httpproxy.management.models import wrongs
from httpproxy.management.problems import Declined
from httpproxy.store.secrets.keys import Key, Keys, Scope

MOST_WRONGS: Final = 50
_TYPES: Final = ("application/json", "application/merge-patch+json")


async def key_of(request: web.Request, keys: Keys, operation: Operation) -> Key:
    """The API key of a request, if it opens the operation. Raises Declined: 401, 403."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text:
        raise Declined("key_required", "Send an API key: Authorization: Bearer hpk_….")
    key = await keys.verify(text.strip())
    if key is None:
        raise Declined("key_required", "This API key is unknown, expired or revoked.")
    require_scope(key, operation.scope or "read")
    if operation.reach == "all" and key.sync_id is not None:
        raise Declined(
            "key_not_allowed", "The API key is for one sync; this is not about one alone."
        )
    return key


def require_scope(key: Key, scope: Scope) -> None:
    """Raises Declined (403) for a key without the scope."""
    if not key.allows(scope, key.sync_id):
        raise Declined("key_not_allowed", f"The API key lacks the scope {scope}.")


def query_of(request: web.Request, model: type[BaseModel] | None) -> Any:
    """The parameters as the model has them. Raises Declined, which names each wrong one."""
    given = request.query
    known = {} if model is None else model.model_fields
    names = {each.alias or name for name, each in known.items()}
    unknown = [name for name in given if name not in names]
    if unknown:
        there = ", ".join(sorted(names)) or "none"
        raise Declined(
            "bad_parameter",
            f"There is no parameter {unknown[0][:40]!r}; there are: {there}.",
            unknown[0][:40],
        )
    if model is None:
        return None
    said: dict[str, Any] = {}
    for attribute, each in known.items():
        name = each.alias or attribute
        values = given.getall(name, [])
        if _is_list(each.annotation):
            said[name] = values
        elif len(values) > 1:
            raise Declined("bad_parameter", f"{name} is given more than once.", name)
        elif values:
            said[name] = values[0]
    try:
        return model.model_validate(said, strict=False)
    except ValidationError as error:
        raise _wrong("bad_parameter", "A parameter is not as it should be", error) from error


def _is_list(annotation: Any) -> bool:
    return str(annotation).startswith(
        ("list[", "typing.Sequence[", "collections.abc.Sequence[")
    )


async def body_of(request: web.Request, model: type[BaseModel] | None) -> tuple[Any, JsonValue]:
    """The body as the model has it, and as plain JSON. Raises Declined."""
    content = await request.read()
    if model is None:
        if content.strip():
            raise Declined("bad_body", "This operation takes no body; send none.")
        return None, None
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        detail = "Send the body as it is, without Content-Encoding."
        raise Declined("unsupported_media_type", detail, "Content-Encoding")
    if not content and not any(each.is_required() for each in model.model_fields.values()):
        content = b"{}"  # nothing has to be said
    elif request.content_type not in _TYPES:
        raise Declined(
            "unsupported_media_type", "Send JSON, as Content-Type: application/json."
        )
    try:
        raw: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Declined("bad_body", f"The body is no valid JSON: {error}.") from error
    if not isinstance(raw, Mapping):
        raise Declined("bad_body", "The body must be a JSON object.")
    try:
        return model.model_validate_json(content), raw
    except ValidationError as error:
        raise _wrong("bad_body", "The body is not as it should be", error) from error


def _wrong(code: str, what: str, error: ValidationError) -> Declined:
    """Every member that is wrong; the first one is told in the sentence, too."""
    found = wrongs(error)[:MOST_WRONGS]
    first = found[0]
    said = f"{what}: {first.member} {first.detail}" if first.member else first.detail
    return Declined(
        code,
        said if said.endswith(".") else f"{said}.",
        first.member or None,
        errors=[each.model_dump() for each in found],
    )

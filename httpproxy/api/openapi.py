"""The OpenAPI 3.1 document of /v1, made from the table of operations. Pure.

Schemas are pydantic's, of the very models that requests are checked with and answers
written by: what the document says and what the door does cannot part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from httpproxy.api.operations import Operation
from httpproxy.management.models import Model, Wrong
from httpproxy.management.problems import CALL_PROBLEMS, PROBLEMS

_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_PROBLEM_MEDIA: Final = "application/problem+json"
_JSON: Final = "application/json"
_ALWAYS: Final = ("internal_error", "database_unavailable")

Mode = Literal["validation", "serialization"]
Schemas = Mapping[tuple[type[BaseModel], Mode], dict[str, Any]]


class Problem(Model):
    """RFC 9457: `code` is for programs, `detail` for people; `member` names what is wrong.

    Some problems have further members (`upstream_status`, `replicas` …).
    """

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    source: str
    code: str
    request_id: str
    member: str | None = None
    errors: list[Wrong] | None = None


def openapi(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The document, as JSON has it."""
    wanted: list[tuple[type[BaseModel], Mode]] = [(Problem, "serialization")]
    for operation in operations:
        if operation.body is not None:
            wanted.append((operation.body, "validation"))
        if (model := _item(operation.answer)) is not None:
            wanted.append((model, "serialization"))
    schemas, definitions = models_json_schema(
        list(dict.fromkeys(wanted)), ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        told = _told(operation, cast("Schemas", schemas))
        paths.setdefault(operation.path, {})[operation.method.lower()] = told
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "httpproxy",
            "version": version,
            "description": "Credentials, syncs, streams and mutations of an httpproxy.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _item(answer: Any) -> type[BaseModel] | None:
    """The model that an answer is made of, alone or as a list."""
    if get_origin(answer) is list:
        answer = get_args(answer)[0]
    return answer if isinstance(answer, type) and issubclass(answer, BaseModel) else None


def _told(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_variables(operation), *_query(operation.query)],
        "responses": _responses(operation, schemas),
        "security": [] if operation.scope is None else [{"key": [operation.scope]}],
    }
    if operation.description:
        told["description"] = operation.description
    if operation.body is not None:
        media = [_JSON]
        if operation.method == "PATCH":
            media.insert(0, "application/merge-patch+json")
        content = {each: {"schema": schemas[operation.body, "validation"]} for each in media}
        required = any(each.is_required() for each in operation.body.model_fields.values())
        told["requestBody"] = {"required": required, "content": content}
    elif operation.relays:
        told["requestBody"] = {"content": {"*/*": {"schema": {}}}}
    return told


def _variables(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(operation.path)
    ]


def _query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found = []
    for name, each in schema["properties"].items():
        parameter = {"name": name, "in": "query", "schema": each}
        if name in schema.get("required", ()):
            parameter["required"] = True
        if "description" in each:
            parameter["description"] = each.pop("description")
        if each.get("type") == "array":
            parameter |= {"style": "form", "explode": True}
        found.append(parameter)
    return found


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    """The answers that an operation can have, and its problems by status."""
    if operation.relays:
        said = "The API's own answer; or a problem of the proxy's, with `source: proxy`."
        return {"default": {"description": said, "content": {"*/*": {"schema": {}}}}}
    good = _good(operation, schemas)
    found: dict[str, Any] = {str(operation.status): {"description": "Done.", **good}}
    for status, meaning in operation.others.items():
        found[str(status)] = {"description": meaning, **good}
    for status, codes in _problems(operation).items():
        titles = "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes)
        schema = schemas[Problem, "serialization"]
        content = {_PROBLEM_MEDIA: {"schema": schema}}
        known = found.get(str(status))
        if known is None:
            found[str(status)] = {"description": titles, "content": content}
        else:  # an answer of its own has this status, too
            known["content"] = {**known.get("content", {}), **content}
    return found


def _good(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    model = _item(operation.answer)
    if model is None:
        if not operation.media:
            return {}
        return {"content": {media: {"schema": {}} for media in operation.media}}
    schema: dict[str, Any] = schemas[model, "serialization"]
    if get_origin(operation.answer) is list:
        schema = {"type": "array", "items": schema}
    content = {_JSON: {"schema": schema}}
    content |= {media: {"schema": {"type": "string"}} for media in operation.media}
    return {"content": content}


def _problems(operation: Operation) -> dict[int, list[str]]:
    codes = list(_ALWAYS)
    codes += ["bad_parameter"]
    if operation.scope is not None:
        codes += ["key_required", "key_not_allowed"]
    if operation.body is not None:
        codes += ["bad_body", "unsupported_media_type", "body_too_large"]
    codes += operation.problems
    if "api_unreachable" in operation.problems:
        codes += CALL_PROBLEMS
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        found.setdefault(PROBLEMS[code].status, []).append(code)
    return dict(sorted(found.items()))

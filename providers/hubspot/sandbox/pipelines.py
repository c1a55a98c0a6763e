"""Pipelines and their stages: of deals and tickets, and of whoever gets some."""

from __future__ import annotations

from typing import Final

from providers.hubspot.sandbox.catalogue import pipeline_definition, stage_definition
from providers.hubspot.sandbox.errors import invalid, not_found
from providers.hubspot.sandbox.paths import EMPTY, Answer, Call, Path, below
from providers.hubspot.sandbox.state import Definition, ObjectKind, stamp
from providers.record import JSON

_SETTABLE: Final = ("label", "displayOrder", "metadata", "archived")


def list_pipelines(call: Call) -> Answer:
    return 200, {"results": [*call.kind("schema read").pipelines.values()]}


def read_pipeline(call: Call) -> Answer:
    return 200, _pipeline(call, call.kind("schema read"))


def _pipeline(call: Call, kind: ObjectKind) -> Definition:
    found = kind.pipelines.get(call.variables["pipeline"])
    if found is None:
        raise not_found(f"No pipeline {call.variables['pipeline']}")
    return found


def _labelled(given: JSON) -> dict[str, JSON]:
    if not isinstance(given, dict) or not given.get("label"):
        raise invalid("Invalid input JSON: label is required")
    return given


def create_pipeline(call: Call) -> Answer:
    kind, id_ = call.kind("schema write"), str(call.portal.number())
    kind.pipelines[id_] = _made(call, id_)
    return 201, kind.pipelines[id_]


def _made(call: Call, id_: str) -> Definition:
    listed = call.body.get("stages")
    stages: list[JSON] = [
        stage_definition(str(call.portal.number()), _labelled(each), call.now)
        for each in (listed if isinstance(listed, list) else [])
    ]
    return pipeline_definition(id_, _labelled(call.body), stages, call.now)


def replace_pipeline(call: Call) -> Answer:
    kind = call.kind("schema write")
    old = _pipeline(call, kind)
    kind.pipelines[str(old["id"])] = {
        **_made(call, str(old["id"])),
        "createdAt": old["createdAt"],
    }
    return 200, kind.pipelines[str(old["id"])]


def update_pipeline(call: Call) -> Answer:
    return 200, _updated(call, _pipeline(call, call.kind("schema write")))


def _updated(call: Call, found: Definition) -> Definition:
    found |= {
        n: v for n, v in call.body.items() if n in _SETTABLE and n in {*found, "archived"}
    }
    found["updatedAt"] = stamp(call.now)
    return found


def delete_pipeline(call: Call) -> Answer:
    kind = call.kind("schema write")
    del kind.pipelines[str(_pipeline(call, kind)["id"])]
    return EMPTY


def list_stages(call: Call) -> Answer:
    return 200, {"results": [*_stages(call, "schema read")]}


def _stages(call: Call, access: str) -> list[JSON]:
    stages = _pipeline(call, call.kind(access))["stages"]
    return stages if isinstance(stages, list) else []


def _stage(call: Call, access: str) -> Definition:
    for each in _stages(call, access):
        if isinstance(each, dict) and each["id"] == call.variables["stage"]:
            return each
    raise not_found(f"No stage {call.variables['stage']}")


def create_stage(call: Call) -> Answer:
    stages = _stages(call, "schema write")
    made = stage_definition(str(call.portal.number()), _labelled(call.body), call.now)
    stages.append(made)
    return 201, made


def read_stage(call: Call) -> Answer:
    return 200, _stage(call, "schema read")


def replace_stage(call: Call) -> Answer:
    found = _stage(call, "schema write")
    found |= {
        **stage_definition(str(found["id"]), _labelled(call.body), call.now),
        "createdAt": found["createdAt"],
    }
    return 200, found


def update_stage(call: Call) -> Answer:
    return 200, _updated(call, _stage(call, "schema write"))


def delete_stage(call: Call) -> Answer:
    _stages(call, "schema write").remove(_stage(call, "schema write"))
    return EMPTY


def audit(call: Call) -> Answer:
    """Who changed it: the simulator keeps no such book."""
    _pipeline(call, call.kind("schema read"))
    return 200, {"results": []}


PATHS: Final[list[Path]] = below(
    ("/crm/v3/pipelines", "/crm/pipelines/{version}"),
    (
        ("GET", "/{type}", list_pipelines),
        ("POST", "/{type}", create_pipeline),
        ("GET", "/{type}/{pipeline}", read_pipeline),
        ("PUT", "/{type}/{pipeline}", replace_pipeline),
        ("PATCH", "/{type}/{pipeline}", update_pipeline),
        ("DELETE", "/{type}/{pipeline}", delete_pipeline),
        ("GET", "/{type}/{pipeline}/audit", audit),
        ("GET", "/{type}/{pipeline}/stages", list_stages),
        ("POST", "/{type}/{pipeline}/stages", create_stage),
        ("GET", "/{type}/{pipeline}/stages/{stage}", read_stage),
        ("PUT", "/{type}/{pipeline}/stages/{stage}", replace_stage),
        ("PATCH", "/{type}/{pipeline}/stages/{stage}", update_stage),
        ("DELETE", "/{type}/{pipeline}/stages/{stage}", delete_stage),
        ("GET", "/{type}/{pipeline}/stages/{stage}/audit", audit),
    ),
)

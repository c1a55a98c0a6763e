"""What a write to HubSpot asks for: an object, or a batch of inputs."""

from __future__ import annotations

from typing import Final

from providers.drafting import json_of, objects_in
from providers.http import Request
from providers.record import JSON

RECORDS: Final = 100  # inputs in a call
PAIRS: Final = 2_000

Faults = tuple[str, ...]


def asked_object(request: Request, shape: str) -> tuple[dict[str, JSON], Faults]:
    """The request's JSON object, empty with the fault if it is none. Raises Unreadable."""
    body = json_of(request)
    if isinstance(body, dict):
        return body, ()
    what = "empty" if body is None else "not a JSON object"
    return {}, (f"The body is {what}. Send {shape} as JSON.",)


def asked_inputs(
    request: Request, shape: str, most: int = RECORDS
) -> tuple[list[dict[str, JSON]], Faults]:
    """The inputs of a batch, and what is wrong with it as a whole. Raises Unreadable."""
    whole = f'{{"inputs": [{shape}, …]}}'
    body, faults = asked_object(request, whole)
    if faults:
        return [], faults
    return objects_in(body.get("inputs"), "inputs", "HubSpot", most, f"Send {whole} as JSON.")

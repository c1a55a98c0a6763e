"""A plan, and a plan in the making. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import Field, JsonValue

from httpproxy.management.ascode.current import Current
from httpproxy.management.ascode.declared import Declared, at
from httpproxy.management.credentials.entering import masked
from httpproxy.management.models import Model, Wrong

Secrets = Mapping[str, str | None]
"""What references stand for; None: it is not to be had here."""

Action = Literal["create", "change", "delete"]
SECRETS: Final = frozenset({"access_token", "refresh_token", "client_secret"})


class Change(Model):
    """A member that is to be another one. Secrets are masked."""

    member: str
    before: JsonValue
    after: JsonValue


class Step(Model):
    """One thing that is to be done. `name` is the table's in the file."""

    action: Action
    section: str
    name: str
    changes: list[Change] = Field(default_factory=list)


class Plan(Model):
    """What is to be done, in this order.

    unchanged  things that are as the file says
    missing    secrets that some steps need and that are not to be had here
    notes      what else there is to know
    """

    steps: list[Step]
    unchanged: int
    missing: list[Wrong]
    notes: list[str]


@dataclass
class Draft:
    """A plan in the making."""

    declared: Declared
    secrets: Secrets
    current: Current
    steps: list[Step] = field(default_factory=list)
    unchanged: int = 0
    missing: list[Wrong] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)

    def make(self, section: str, name: str) -> None:
        """A thing that there is not."""
        self.steps.append(Step(action="create", section=section, name=name))

    def refuse(self, section: str, name: str, member: str, detail: str) -> None:
        self.wrong.append(Wrong(member=at(section, name, member), detail=detail))

    def compare(
        self, section: str, name: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """A thing that there is: what of `after` is another one in `before` is to change.
        Secrets are masked."""
        changes = [
            Change(
                member=each, before=_shown(each, before.get(each)), after=_shown(each, value)
            )
            for each, value in after.items()
            if before.get(each) != value
        ]
        if changes:
            step = Step(action="change", section=section, name=name, changes=changes)
            self.steps.append(step)
        else:
            self.unchanged += 1

    def secret(self, place: str, reference: str | None, *, stored: bool) -> str | None:
        """A secret that is declared, None if it is not to be had: then a new thing lacks it,
        and one that is stored keeps the one that it has."""
        if reference is None:
            return None
        found = self.secrets.get(reference)
        if found is None and stored:
            self.notes.append(f"{place}: {reference} is not there; what is stored stays.")
        elif found is None:
            self.missing.append(Wrong(member=place, detail=f"{reference} is not there."))
        return found


def _shown(member: str, value: Any) -> JsonValue:
    return masked(value) if member in SECRETS and isinstance(value, str) else value

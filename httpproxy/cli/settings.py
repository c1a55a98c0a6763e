"""`httpproxy settings`: what is set, what it is for, and docs/settings.md."""

from __future__ import annotations

from typing import Any

import click

from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.settings.reading import Settings, expected, is_secret


@click.command()
@json_option
@click.option("--markdown", is_flag=True, help="The table of docs/settings.md.")
@click.pass_obj
def settings(invocation: Invocation, wants_json: bool, markdown: bool) -> None:
    """Print every setting as this machine has it. Secrets are not shown."""
    if markdown:
        click.echo(reference())
        return
    current = invocation.settings()
    values = {name: _shown(name, getattr(current, name)) for name in Settings.model_fields}
    if wants_json:
        as_json(values)
    else:
        as_table(("setting", "value"), values.items())


def reference() -> str:
    """The settings as a Markdown table, from their own descriptions."""
    lines = ["| setting | default | what it does | takes |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _default(field.default)
        lines.append(f"| `{name}` | {default} | {field.description} | {expected(name)} |")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is None or value in ({}, ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, int) and value >= 1 << 20:
        return f"`{value >> 20} MiB`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _shown(name: str, value: Any) -> Any:
    if value is None:
        return None
    if is_secret(name):
        return "(set)" if value else None
    if isinstance(value, tuple):
        return ",".join(value)  # as it can be set
    return value

"""The tables of docs/api.md, made from the code. Run as a script, it writes them."""

from __future__ import annotations

import re
from pathlib import Path

from httpproxy.api.operations import Operation
from httpproxy.api.routes import OPERATIONS
from httpproxy.management.problems import PROBLEMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def operations() -> str:
    """A line for each operation."""
    lines = ["| operation | scope | what it does |", "|---|---|---|"]
    lines += [
        f"| `{each.method} {each.path}` | {_scope(each)} | {each.summary} |"
        for each in OPERATIONS
    ]
    return "\n".join(lines)


def _scope(operation: Operation) -> str:
    """What the key must allow; where a call is handed on, what is called decides."""
    if operation.relays and operation.method not in {"GET", "OPTIONS"}:
        return f"{operation.scope} or write"
    return operation.scope or "none"


def problems() -> str:
    """A line for each code."""
    lines = ["| code | status | what it says |", "|---|---|---|"]
    ranked = sorted(PROBLEMS.items(), key=lambda item: item[1].status)
    lines += [f"| `{code}` | {kind.status} | {kind.title} |" for code, kind in ranked]
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with its tables as they should be."""
    for name, table in (("operations", operations()), ("problems", problems())):
        page = re.sub(
            rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}",
            page,
            flags=re.DOTALL,
        )
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""A page of the docs, followed to the letter: its shell and Python blocks, in their order.

A shell block runs in bash with curl, a Python block in this Python; what a block assigns or
exports, the blocks after it have. A block fails by its exit code, and a curl by an answer of
400 or more. A ```json block right after one shows its output: the output has at least its
members, of the same types; "…" in a text stands for anything.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_BLOCK = re.compile(r"^```(sh|python|json)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Step:
    """A block, and the output that the page shows for it; None if it shows none."""

    language: str
    code: str
    shown: Any = None


def steps(page: Path) -> list[Step]:
    """The blocks of a page that can be run."""
    found: list[Step] = []
    for language, code in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language != "json":
            found.append(Step(language, code))
        elif found and found[-1].shown is None:
            last = found.pop()
            found.append(Step(last.language, last.code, orjson.loads(code)))
    return found


class Walk:
    """Runs blocks one after another. `folder` is where they run, and may be empty."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._state = folder / ".variables"
        (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # noqa: TID251 - a test's
        self._environment = {"PATH": path, "CURL_HOME": str(folder), "HOME": str(folder)}
        lines = [f"declare -x {name}={_quoted(value)}" for name, value in variables.items()]
        self._state.write_text("\n".join(lines) + "\n")

    async def follow(self, page: Path) -> list[str]:
        """Every block of a page; the outputs. Raises AssertionError for what goes wrong."""
        return [await self.take(step) for step in steps(page)]

    async def take(self, step: Step) -> str:
        """One block; its output."""
        code = step.code
        if step.language == "python":
            script = self._folder / "block.py"
            script.write_text(code)
            code = f"{_quoted(sys.executable)} {_quoted(str(script))}"
        lines = ["set -eo pipefail", f". {self._state}", "set -a", code]
        lines.append(f"export -p > {self._state}")
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            "\n".join(lines),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate()
        text = out.decode()
        assert process.returncode == 0, f"{step.code}\n{text}\n{err.decode()}"
        if step.shown is not None:
            told = orjson.loads(out)
            assert alike(step.shown, told), f"{step.code}\nthe page shows {step.shown}\n{text}"
        return text


def alike(shown: Any, told: Any) -> bool:
    """Whether an output is as the page shows it: at least its members, of their types."""
    if isinstance(shown, dict):
        return isinstance(told, dict) and all(
            name in told and alike(value, told[name]) for name, value in shown.items()
        )
    if isinstance(shown, list):
        if not isinstance(told, list) or len(told) < len(shown):
            return False
        return all(alike(*pair) for pair in zip(shown, told, strict=False))
    if isinstance(shown, str) and isinstance(told, str):
        return True
    if isinstance(shown, bool) or shown is None or isinstance(told, bool) or told is None:
        return shown is told
    return isinstance(shown, int | float) and isinstance(told, int | float)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

"""TOML as text: the standard library reads it, and this writes what `exporting` needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ESCAPED: Final = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n"} | {
    "\f": "\\f",
    "\r": "\\r",
}


def key(*parts: str) -> str:
    """A dotted key, quoted where it must be."""
    return ".".join(part if _BARE.fullmatch(part) else _text(part) for part in parts)


def value(given: Any) -> str:
    """A value: texts, numbers, truths, arrays and inline tables. Raises TypeError for what
    TOML does not have (None)."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, str):
        return _text(given)
    if isinstance(given, int):
        return str(given)
    if isinstance(given, float):
        return repr(given)
    if isinstance(given, Mapping):
        inner = ", ".join(f"{key(name)} = {value(each)}" for name, each in given.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(given, Sequence):
        return f"[{', '.join(map(value, given))}]"
    raise TypeError(f"TOML has no {type(given).__name__}")


def _text(text: str) -> str:
    return '"' + "".join(_character(each) for each in text) + '"'


def _character(one: str) -> str:
    if one in _ESCAPED:
        return _ESCAPED[one]
    return one if one.isprintable() or one == " " else f"\\U{ord(one):08X}"

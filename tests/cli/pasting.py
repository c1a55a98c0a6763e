"""What a page or the demo tells people to paste, done as a shell and curl would."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import requests

_CURL = argparse.ArgumentParser(exit_on_error=False)
_CURL.add_argument("url")
_CURL.add_argument("-X", dest="method")
_CURL.add_argument("-H", dest="headers", action="append", default=[])
_CURL.add_argument("-d", dest="data")
_CURL.add_argument("-w", dest="write_out")
_CURL.add_argument("-s", "-S", "-i", "-g", "-sS", dest="quiet", action="store_true")


def curl(line: str) -> requests.Response:
    """The answer that this curl command would get."""
    program, *arguments = shlex.split(line)
    assert program == "curl"
    asked = _CURL.parse_args(arguments)
    fields = dict(field.split(": ", 1) for field in asked.headers)
    method = asked.method or ("POST" if asked.data else "GET")
    return requests.request(method, asked.url, headers=fields, data=asked.data, timeout=60)


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language, continued lines joined."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block.replace("\\\n", " ") for block in found]

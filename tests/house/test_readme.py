"""The README's table of routes is made from the route tables.

`python -m pytest tests/house/test_readme.py` says so when they differ; running this file
writes the table anew.
"""

import re
from pathlib import Path

from providers.catalog import PROVIDERS
from providers.spec import Action, Provider

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- routes: made from the route tables by tests/house/test_readme.py -->\n"
END = "<!-- /routes -->"
_ELSEWHERE = re.compile(r" \([^)]*\)$| root$|^[A-Z]+ (?=legacy)")


def lines_of(provider: Provider) -> list[str]:
    """A line for each thing that can be done: all its paths, and what is committed."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for route in provider.routes:
        if route.action is Action.READ or route.commits.startswith("nothing"):
            continue
        # "update record (dated)", "PATCH legacy deals root": the same thing elsewhere.
        what = _ELSEWHERE.sub("", route.name)
        host = route.host if route.host not in (None, provider.hosts[0]) else ""
        paths = groups.setdefault((what, route.commits), {})
        methods = paths.setdefault(f"{host}{route.path}", [])
        methods += ["ANY"] if route.method == "*" else [route.method]
    lines = []
    for (_, commits), paths in groups.items():
        spelled = "<br>".join(f"`{' '.join(methods)} {p}`" for p, methods in paths.items())
        lines.append(f"| {spelled} | {commits} |")
    return lines


def table() -> str:
    head = ["| route | what a 2xx answer commits |", "|---|---|"]
    return "\n".join(
        line
        for provider in PROVIDERS.values()
        for line in ("", f"**{provider.title}**", "", *head, *lines_of(provider), "")
    )


def test_the_readme_tells_what_every_writing_route_commits():
    text = README.read_text()
    assert text.partition(BEGIN)[2].partition(END)[0] == table()


if __name__ == "__main__":
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + table() + END + rest.partition(END)[2])

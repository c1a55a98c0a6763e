"""The README's table of routes is made from the route tables.

`python -m pytest tests/house/test_readme.py` says so when they differ; running this file
writes the table anew.
"""

from pathlib import Path

from providers.catalog import PROVIDERS
from providers.spec import Action, Provider

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- routes: made from the route tables by tests/house/test_readme.py -->\n"
END = "<!-- /routes -->"


def table_of(provider: Provider) -> list[str]:
    """The writes and effects of a provider, one line for all paths of a route."""
    lines: dict[tuple[str, str], list[str]] = {}
    for route in provider.routes:
        if route.action is not Action.READ:
            host = "" if route.host in (None, provider.hosts[0]) else route.host
            spelled = f"`{route.method} {host or ''}{route.path}`"
            lines.setdefault((route.name.partition(" @")[0], route.commits), []).append(spelled)
    return [
        f"**{provider.title}**",
        "",
        "| route | what a 2xx answer commits |",
        "|---|---|",
        *(f"| {'<br>'.join(paths)} | {commits} |" for (_, commits), paths in lines.items()),
        "",
    ]


def table() -> str:
    return "\n".join(line for p in PROVIDERS.values() for line in ("", *table_of(p)))


def test_the_readme_tells_what_every_writing_route_commits():
    text = README.read_text()
    assert text.partition(BEGIN)[2].partition(END)[0] == table()


if __name__ == "__main__":
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + table() + END + rest.partition(END)[2])

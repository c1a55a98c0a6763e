"""docs/operations.md and the alert rules say what the second door serves, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from httpproxy.api.metrics.names import FAMILIES
from httpproxy.api.server import OPEN
from httpproxy.outside import readiness_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
_NAME = re.compile(r"\bhttpproxy_[a-z_]+")
_LABELS = re.compile(r"(?:(?P<name>httpproxy_[a-z_]+)\{(?P<matchers>[^}]*)\})")


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose header begins like this."""
    _, _, after = PAGE.partition(f"| {header} |")
    lines = [*after.splitlines()[2:], ""]
    table = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def rules() -> list[dict]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def test_the_table_of_metrics_is_what_is_served():
    told = {row[0].strip("`"): row[1:] for row in rows("name | type | labels | what it says")}
    served = {
        family.shown: [
            family.kind, ", ".join(f"`{label}`" for label in family.labels) or "–", family.says,
        ]
        for family in FAMILIES
    }  # fmt: skip
    assert told == served


def test_the_names_keep_to_prometheus_conventions():
    for family in FAMILIES:
        assert family.shown.endswith("_total") == (family.kind == "counter")
        assert re.fullmatch(r"httpproxy_[a-z]+(_[a-z]+)*", family.name)
        assert not re.search(r"_(ms|milliseconds|count|sum|bucket)$", family.name)
        assert family.kind != "histogram" or family.name.endswith("_seconds")
        assert "worker" not in family.labels


def test_every_path_that_needs_no_key_is_on_the_page():
    paths = {row[0].strip("`") for row in rows("path | what it answers")}
    assert paths == OPEN.keys()


def test_every_check_is_on_the_page():
    checks = {row[0].strip("`") for row in rows("check | fails when | after")}
    assert checks == {"database", "commits", "intents", "lease", "embedded"}
    assert readiness_of.__doc__


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_there_are_and_leads_to_its_heading(rule: dict):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    assert f"### {rule['alert']}\n" in PAGE
    expr = rule["expr"]
    assert expr.count("(") == expr.count(")")
    served = {family.shown: family for family in FAMILIES}
    assert set(_NAME.findall(expr)) <= served.keys()
    for found in _LABELS.finditer(expr):
        named = set(re.findall(r"(\w+)=", found["matchers"]))
        assert named <= {*served[found["name"]].labels, "worker"}
    kinds = {name: served[name].kind for name in _NAME.findall(expr)}
    for name, kind in kinds.items():
        counted = re.search(rf"(rate|increase)\({name}\b", expr) is not None
        assert counted == (kind == "counter"), name
    grouped = set(re.findall(r"by \(([^)]*)\)", expr))
    known = {"instance", "worker"}.union(*(served[name].labels for name in kinds))
    assert {label.strip() for group in grouped for label in group.split(",")} <= known


def test_every_alert_with_a_heading_is_shipped():
    _, _, after = PAGE.partition("## Alerts")
    section, _, _ = after.partition("\n## ")
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == [r["alert"] for r in rules()]

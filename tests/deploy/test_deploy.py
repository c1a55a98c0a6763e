"""What is shipped for deployment: each file is read by the tool that it is for, as far as
that runs without a cluster, and names only settings, paths and ports that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import ComposeSpecification

from httpproxy.service import DRAIN_SECONDS
from httpproxy.settings.reading import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNIT = DEPLOY / "systemd" / "httpproxy.service"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KUBERNETES = ("1.31", "1.33")  # preStop's sleep came with 1.30
OPS_PATHS = {"/healthz", "/readyz", "/metrics"}


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from (each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each)


def deployment() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "kubernetes" / "deployment.yaml")
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = deployment()["spec"]["template"]["spec"]
    return spec


def test_the_linter_finds_nothing_in_the_dockerfile():
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [linter, "--no-color", DEPLOY / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_copies_what_is_there_and_runs_as_nobody_special():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert "USER 10001:10001" in DOCKERFILE
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_is_one_by_the_schema_of_kubernetes(path, version):
    for document in documents(path):
        if document["kind"] != "Kustomization":
            assert kubernetes_validate.validate(document, version, strict=True)


def test_the_kustomization_names_every_manifest():
    (found,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    others = {path.name for path in MANIFESTS} - {"kustomization.yaml"}
    assert set(found["resources"]) == others


def test_a_pod_may_write_nothing_but_its_tmp_and_is_nobody_special():
    (container,) = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


def test_probes_ask_the_ops_port_for_what_it_serves():
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    defaults = Settings.model_fields
    assert ports == {
        "gateway": defaults["gateway_port"].default,
        "ops": defaults["api_port"].default,
    }
    probes = [container[name]["httpGet"] for name in container if name.endswith("Probe")]
    assert len(probes) == 3
    assert {probe["port"] for probe in probes} == {"ops"}
    assert {probe["path"] for probe in probes} <= OPS_PATHS
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_time_to_stop_is_longer_than_a_call_and_its_commit():
    defaults = Settings.model_fields
    needed = defaults["upstream_timeout"].default + defaults["commit_timeout"].default
    assert pod()["terminationGracePeriodSeconds"] > needed
    (compose,) = documents(DEPLOY / "compose.yaml")
    assert int(compose["services"]["httpproxy"]["stop_grace_period"].rstrip("s")) > needed
    unit = UNIT.read_text(encoding="utf-8")
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > max(needed, DRAIN_SECONDS)


def test_the_compose_file_is_one_and_only_nginx_listens_to_the_world():
    (compose,) = documents(DEPLOY / "compose.yaml")
    assert ComposeSpecification.model_validate(compose)
    services = compose["services"]
    # nginx lives in httpproxy's network, whose own ports listen to nobody outside it.
    assert services["nginx"]["network_mode"] == "service:httpproxy"
    assert {name for name, each in services.items() if "ports" in each} == {"httpproxy"}
    assert services["httpproxy"]["ports"] == ["443:443"]
    hosts = [v for k, v in services["httpproxy"]["environment"].items() if k.endswith("HOST")]
    assert hosts == ["127.0.0.1", "127.0.0.1"]
    assert services["httpproxy"]["read_only"] is True
    assert services["httpproxy"]["cap_drop"] == ["ALL"]
    assert (DEPLOY / services["nginx"]["volumes"][0].split(":")[0]).resolve().is_file()


def test_systemd_takes_the_unit():
    program = shutil.which("systemd-analyze")
    assert program, "install systemd: the unit is checked by its own tool"
    checked = subprocess.run(
        [program, "verify", UNIT], capture_output=True, text=True, check=False
    )
    complaints = [
        line for line in checked.stderr.splitlines() if "is not executable" not in line
    ]
    assert complaints == []
    judged = subprocess.run(
        [program, "security", "--offline=true", "--threshold=20", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-300:]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and path.suffix != ".txt"],
    ids=lambda path: path.name,
)
def test_every_setting_that_is_named_is_one(path):
    named = set(re.findall(r"HTTPPROXY_([A-Z_]+)", path.read_text(encoding="utf-8")))
    known = {name.upper() for name in Settings.model_fields} | {"TOKEN"}
    assert named - known == set()

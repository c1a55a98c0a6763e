"""What the image installs is pinned by hashes, and is what the project asks for."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.version import Version
from source import ROOT, pyproject

PINNED = (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n", " ", PINNED).splitlines()
PACKAGES = [line for line in LINES if line and not line.startswith("#")]


def test_every_package_is_pinned_by_version_and_hash():
    assert len(PACKAGES) > 20
    for line in PACKAGES:
        name = re.match(r"([a-z0-9.-]+)==[\w.]+( ; [^-]+)?\s+--hash=sha256:[0-9a-f]{64}", line)
        assert name, line[:80]


def test_every_dependency_is_pinned_at_a_version_that_the_project_accepts():
    pins = {
        found[1]: Version(found[2])
        for line in PACKAGES
        if (found := re.match(r"([a-z0-9.-]+)==([\w.]+)", line))
    }
    for text in pyproject()["project"]["dependencies"]:
        wanted = Requirement(text)
        assert pins[wanted.name.lower().replace("_", "-")] in wanted.specifier, text


def test_the_file_names_no_index():
    assert not re.search(r"https?://|index-url|find-links", PINNED)


def test_the_image_installs_from_it():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes -r deploy/requirements.txt" in dockerfile
    assert "--no-deps ." in dockerfile

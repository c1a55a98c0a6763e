"""The watch over the suite's logs sees what it is there to see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WATCHED = 'pytest_plugins = ("neighbours.logwatch",)\n'
# In pieces: what stands in this file's own failures must not be taken for a leak.
PLANTED = "pl4" + "nted-token-1"
CHILD = "import sys; print(sys.stdin.read(), file=sys.{stream})"  # no secret in its arguments
LINE = f"2026-01-01 00:00:00,000 WARNING httpproxy: told {PLANTED}"

LEAKS = {
    "a record": f"""
def test_it():
    logging.getLogger("x").warning("told %s", "{PLANTED}")
""",
    "a record of a logger that keeps its records to itself": f"""
def test_it(monkeypatch):
    logger = logging.getLogger("y")
    monkeypatch.setattr(logger, "propagate", False)
    logger.error("told {PLANTED}")
""",
    "what a record brings along": f"""
def test_it():
    logging.getLogger("x").warning("told", extra={{"url": "/{PLANTED}"}})
""",
    "a traceback": f"""
def test_it():
    try:
        raise ValueError("{PLANTED}")
    except ValueError:
        logging.getLogger("x").exception("failed")
""",
    "a random secret": """
def test_it():
    unique_id = secrets.token_urlsafe(24)
    logging.getLogger("x").warning("no sync has the id %s", unique_id)
""",
    "a random secret with a prefix": """
def test_it():
    logging.getLogger("x").warning("key abc_%s-", secrets.token_urlsafe(32))
""",
    "standard error": f"""
def test_it():
    print("told {PLANTED}", file=sys.stderr)
""",
    "standard error of a process that is run": f"""
def test_it():
    subprocess.run([sys.executable, "-c", {CHILD.format(stream="stderr")!r}],
        capture_output=True, text=True, input="{PLANTED}")
""",
    "standard error of a process that inherits ours": f"""
def test_it():
    subprocess.run([sys.executable, "-c", {CHILD.format(stream="stderr")!r}],
        text=True, input="{PLANTED}")
""",
    "a log line on a process's standard output": f"""
def test_it():
    with subprocess.Popen([sys.executable, "-c", {CHILD.format(stream="stdout")!r}],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True) as process:
        process.stdin.write("{LINE}")
        process.stdin.close()
        for line in process.stdout:
            pass
""",
    "a process of asyncio": f"""
def test_it():
    async def run():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c",
            {CHILD.format(stream="stderr")!r}, stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE)
        await process.communicate(b"{PLANTED}")
    asyncio.run(run())
""",
    "a file that a process writes to": f"""
def test_it(tmp_path):
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([sys.executable, "-c", {CHILD.format(stream="stderr")!r}],
            stderr=out, text=True, input="{PLANTED}")
""",
    "a command line": f"""
def test_it():
    subprocess.run([sys.executable, "-c", "pass", "--token={PLANTED}"])
""",
    "a log file": f"""
def test_it(tmp_path):
    (tmp_path / "access.log").write_text("GET /{PLANTED}")
""",
    "a fixture that ends": f"""
@pytest.fixture
def thing():
    yield
    logging.getLogger("x").warning("{PLANTED}")

def test_it(thing):
    pass
""",
}
QUIET = f"""
def test_it(tmp_path):
    logging.getLogger("x").warning("sync sync_abc: 3 rows, %s", "0" * 64)
    subprocess.run([sys.executable, "-c", {CHILD.format(stream="stdout")!r}],
        capture_output=True, text=True, input="{PLANTED}")
    secrets.token_urlsafe(24)
"""
IMPORTS = "import asyncio, logging, secrets, subprocess, sys\nimport pytest\n"


def run(folder: Path, *tests: str) -> str:
    """What pytest says of these tests, each in a file of its own."""
    (folder / "conftest.py").write_text(WATCHED)
    for n, text in enumerate(tests):
        (folder / f"test_part{n}.py").write_text(IMPORTS + text)
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}  # noqa: TID251
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--show-capture=no", "--tb=short", "-rA",
         "-p", "no:cacheprovider", "-p", "no:cov", f"--rootdir={folder}", folder],
        capture_output=True, text=True, env=environment, cwd=folder, check=False,
    )  # fmt: skip
    return ran.stdout + ran.stderr


def test_every_way_in_which_a_secret_gets_into_a_log_fails_its_test(tmp_path: Path) -> None:
    said = run(tmp_path, *LEAKS.values(), QUIET)
    missed = [
        what for n, what in enumerate(LEAKS) if f"ERROR test_part{n}.py::test_it" not in said
    ]
    # Nobody knows whose a file is: it is told after the last test.
    assert missed == ["a log file"], said
    assert "access.log: GET /<SECRET>" in said
    assert PLANTED not in said, "what it found is not told once more"


def test_what_is_no_secret_and_what_is_no_log_fails_nothing(tmp_path: Path) -> None:
    assert "1 passed" in (said := run(tmp_path, QUIET)), said
    assert "error" not in said


def test_it_sees_the_workers_of_a_run_that_is_shared_out(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -n 2\n")
    said = run(tmp_path, LEAKS["a record"], LEAKS["a random secret"], QUIET)
    assert "3 passed, 2 errors" in said, said


@pytest.mark.parametrize("length", [24, 32])
def test_this_very_run_is_watched(length: int) -> None:
    """Without the plugin every test of the suite would be unwatched, silently."""
    import secrets  # noqa: PLC0415  the wrapped one, as the product has it

    from neighbours.logwatch import WATCH  # noqa: PLC0415

    assert secrets.token_urlsafe(length) in WATCH.random
    assert subprocess.Popen.__name__ == "_WatchedPopen"

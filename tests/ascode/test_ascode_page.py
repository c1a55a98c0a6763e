"""docs/as-code.md is followed from top to bottom, by the programs themselves."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import orjson
from cli.programs import Programs
from neighbours.sandboxes import sandboxes
from neighbours.walkthrough import Walk

from providers.catalog import PROVIDERS

PAGE = Path(__file__).parents[2] / "docs" / "as-code.md"
AIRTABLE = PROVIDERS["airtable"].sandbox


async def test_the_page_works_as_it_says(database_dsn: str, tmp_path: Path) -> None:
    async with sandboxes() as apis:
        upstreams = orjson.dumps(dict(apis.upstreams)).decode()
        walk = Walk(
            tmp_path,
            {
                "BASE": AIRTABLE.account,
                "AIRTABLE_TOKEN": AIRTABLE.token,
                "DATABASE_URL": database_dsn,
                "HTTPPROXY_UPSTREAMS": upstreams,
            },
        )
        outputs = await walk.follow(PAGE)
    shown = re.findall(r"^((?:    .*\n)+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    plans = [re.sub("^    ", "", block, flags=re.MULTILINE) for block in shown]
    assert [outputs[0], outputs[2]] == plans
    assert AIRTABLE.token not in "".join(outputs)
    assert AIRTABLE.token not in (tmp_path / "exported.toml").read_text()


def test_the_commands_refuse_what_they_cannot_do(database_dsn: str, tmp_path: Path) -> None:
    programs = Programs(tmp_path, {"DATABASE_URL": database_dsn})
    file = tmp_path / "syncs.toml"
    file.write_text('[credentials.a]\nkind = "x"\naccess_token = "pl4nted-in-a-file"\n')
    wrong = programs.run("apply", "syncs.toml")
    assert wrong.code == 2
    assert "syncs.toml:\n  [credentials.a] access_token must be" in wrong.err
    assert "pl4nted" not in wrong.err
    file.write_text(
        '[credentials.a]\nkind = "airtable_token"\naccess_token = "file:nowhere.txt"\n'
    )
    planned = programs.done("apply", "syncs.toml", "--dry-run")
    assert "! [credentials.a] access_token: file:nowhere.txt is not there." in planned.out
    missing = programs.run("apply", "syncs.toml", "--yes")
    assert (missing.code, "file:nowhere.txt is not there" in missing.err) == (2, True)
    (tmp_path / "nowhere.txt").write_text("pat-of-nobody\n")
    nobody = programs.run("apply", "syncs.toml")
    assert (nobody.code, "say --yes" in nobody.err) == (2, True)
    file.write_bytes(b"\xff")
    assert programs.run("apply", "syncs.toml").code == 2


async def test_a_step_that_fails_says_how_far_it_came(
    database_dsn: str, tmp_path: Path
) -> None:
    sync = 'provider = "airtable"\ncredential = "a"\ncollection_ids = ["Tasks"]\n'
    (tmp_path / "syncs.toml").write_text(
        f"""
        [credentials.a]
        kind = "airtable_token"
        base_id = "{AIRTABLE.account}"
        access_token = "file:token.txt"
        [syncs.one]
        external_id = "same"
        {sync}
        [syncs.two]
        external_id = "same"
        {sync}
        """
    )
    (tmp_path / "token.txt").write_text(f"{AIRTABLE.token}\n")
    async with sandboxes() as apis:
        upstreams = orjson.dumps(dict(apis.upstreams)).decode()
        variables = {"DATABASE_URL": database_dsn, "HTTPPROXY_UPSTREAMS": upstreams}
        programs = Programs(tmp_path, variables)
        ended = await asyncio.to_thread(programs.run, "apply", "syncs.toml", "--yes")
        again = await asyncio.to_thread(programs.run, "apply", "syncs.toml", "--dry-run")
    assert (ended.code, "2 of 3 are done" in ended.err) == (2, True)
    assert ended.err.startswith(
        "done: credential a\ndone: sync one\nError: sync two: external_id 'same'"
    )
    assert again.out.startswith("+ sync two\n1 to create")

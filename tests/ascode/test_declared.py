"""A file that cannot be is refused as a whole, with every table and member that is wrong."""

from __future__ import annotations

import pytest
from ascode.site import FILE

from httpproxy.management.ascode.declared import Misdeclared, read


def wrong(text: str) -> dict[str, str]:
    """What is said of each place."""
    with pytest.raises(Misdeclared) as caught:
        read(text)
    return {each.member: each.detail for each in caught.value.wrongs}


def test_a_file_is_read_by_its_tables() -> None:
    found = read(FILE)
    assert list(found.credentials) == ["base", "portal"]
    assert list(found.syncs) == ["crm", "Tasks of Acme"]
    assert found.syncs["Tasks of Acme"].schema_ == "acme"
    assert found.syncs["crm"].status == "active"
    assert list(found.references()) == ["env:AIRTABLE", "env:HUBSPOT"]


def test_everything_that_is_wrong_is_told_at_once_with_table_and_member() -> None:
    found = wrong("""
        [sync.x]
        provider = "airtable"

        [credentials.a]
        kind = "airtable_token"
        access_token = "pl4nted-in-the-file"
        base = "appX"

        [syncs."b c"]
        provider = 1
        credential = "a"
        status = "stopped"
        rate_limit = { allowed_requests = 0, interval = 1 }
        columns.Tasks.Name = { nmae = "x" }
    """)
    assert found == {
        "[sync]": "there is no such table; there are [oauth_apps.…], [credentials.…],"
        " [syncs.…].",
        "[credentials.a] access_token": 'must be "env:NAME" or "file:/path": a secret does not'
        " stand in this file.",
        "[credentials.a] base": "is unknown: there is no such member.",
        "[syncs.b c] provider": "must be a text.",
        "[syncs.b c] status": "must be 'active' or 'paused'.",
        "[syncs.b c] rate_limit.allowed_requests": "must be greater than or equal to 1.",
        "[syncs.b c] columns.Tasks.Name.nmae": "is unknown: there is no such member.",
    }


def test_what_is_no_toml_is_told_with_its_line() -> None:
    assert "line 2" in wrong("[syncs.x]\nprovider = \n")[""]


@pytest.mark.parametrize("text", ["syncs = 1", "syncs = [1]", "[syncs]\nx = 1"])
def test_what_is_no_table_is_told(text: str) -> None:
    assert set(wrong(text)) <= {"[syncs]", "[syncs.x]"}


@pytest.mark.parametrize("reference", ["env:", "file:", "", "ENV:X", "pat"])
def test_only_references_stand_for_secrets(reference: str) -> None:
    text = f'[credentials.a]\nkind = "x"\naccess_token = "{reference}"\n'
    assert list(wrong(text)) == ["[credentials.a] access_token"]


def test_metadata_may_be_json_for_what_toml_cannot_say() -> None:
    text = """[syncs.x]\nprovider = "airtable"\nmetadata = '{"a": null}'\n"""
    assert read(text).syncs["x"].metadata == {"a": None}
    assert "text of JSON" in wrong(text.replace("null", "nil"))["[syncs.x] metadata"]
    moment = text.replace("""'{"a": null}'""", "{ at = 2026-01-01 }")
    assert list(wrong(moment)) == ["[syncs.x] metadata.at"]

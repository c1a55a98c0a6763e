"""Errors of the floors below, as this door answers them: out of task groups, too."""

from __future__ import annotations

from httpproxy.api.problems import declined
from httpproxy.exchange.tokens.refreshing import not_refreshed, unusable
from httpproxy.store.errors import NameTaken


def test_an_error_out_of_task_groups_is_answered_like_any_other():
    inner = ExceptionGroup("inner", [ValueError("x"), NameTaken("name", "crm")])
    found = declined(ExceptionGroup("outer", [inner]))
    assert found is not None
    assert (found.code, found.members["member"]) == ("name_taken", "name")
    assert declined(ExceptionGroup("nobody's", [ValueError("x")])) is None


def test_a_credential_that_gives_no_token_says_so_and_what_to_do():
    for trouble, status in ((unusable("cred_1", None), 409), (not_refreshed("No.", 1.0), 502)):
        found = declined(trouble)
        assert found is not None
        assert (found.code, found.kind.status) == (trouble.code, status)
        assert found.detail.endswith(trouble.remedy)

"""Every operation of /v1, called with what its OpenAPI document allows and forbids: nothing
fails, and every answer is as the document says. `make fuzz` does it at length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from api.fuzzing import CALLED, SCHEMA, Target, opened
from neighbours.house import add_sync
from neighbours.keyring import new_key
from neighbours.rows import dsn_of
from schemathesis import GenerationMode

from httpproxy.api.operations import Operation
from httpproxy.api.routes import OPERATIONS

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # Hypothesis draws in one thread while the service, which may, uses `random` in another.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
]
CALLS = 6
OWN = [each for each in OPERATIONS if not each.relays]


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.fixture(scope="module")
def fuzzed_dsn(postgres_dsn: str, template_database: str) -> Iterator[str]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE fuzzed TEMPLATE {template_database}")
        yield dsn_of(postgres_dsn, "fuzzed")
        connection.execute("DROP DATABASE fuzzed WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(
    fuzzed_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    async with opened(fuzzed_dsn, tmp_path_factory.mktemp("fuzzed")) as target:
        target.known["key_id"] = ["nobody"]
        yield target


async def told(target: Target, operation: Operation, **more: Any) -> tuple[int, Any, Any]:
    """Status, problem and headers of the answer to a call of an operation."""
    path = target.path(operation.path)
    answer = await asyncio.to_thread(target.ask, operation.method, path, **more)
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json(), answer.headers


async def test_the_document_is_one_and_has_every_operation() -> None:
    SCHEMA.validate()
    assert {named(each) for each in OWN} == set(CALLED)


async def test_a_key_that_reads_changes_nothing() -> None:
    """Reading is a matter of GET; who has which keys is their makers' alone. Calls that are
    handed on are told apart by what they call."""
    scopes = {(each.scope, each.method == "GET") for each in OWN}
    assert scopes == {("read", True), ("write", False), ("admin", False), ("admin", True)}
    assert {
        named(e).split("/{")[0] for e in OWN if (e.scope, e.method) == ("admin", "GET")
    } == {"GET /v1/keys"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_nobody_gets_in_without_a_key(operation: Operation, target: Target) -> None:
    target.known["path"] = ["x"]
    for key in (None, "hpk_nonsense", "x"):
        status, problem, headers = await told(target, operation, key=key)
        assert (status, problem["code"]) == (401, "key_required")
        assert headers["WWW-Authenticate"] == 'Bearer realm="httpproxy"'


async def test_a_scope_opens_what_it_says_and_no_more(target: Target) -> None:
    keys = {"write": await new_key(target.base.house, "read")}
    keys["admin"] = await new_key(target.base.house, "write")
    for operation in OWN:
        if operation.scope in keys:
            status, problem, _ = await told(target, operation, key=keys[operation.scope])
            assert (status, problem["code"]) == (403, "key_not_allowed"), named(operation)


async def test_a_key_of_another_sync_opens_nothing_of_this_one(target: Target) -> None:
    """Whatever operation there is: those for all are closed, the others see to it."""
    base = target.base
    other = await add_sync(base.house, "hubspot", name="other")
    key = await new_key(base.house, "admin", sync_id=other.id)
    target.known["path"] = [f"v0/{base.sync.account}/{base.table_id}"]
    ours = (base.sync.id, base.sync.account, base.sync.unique_id, base.sync.credential_id)
    for operation in OPERATIONS:
        more: dict[str, Any] = {}
        if operation.query is not None and "sync_id" in operation.query.model_fields:
            more["params"] = {"sync_id": base.sync.id}
        if operation.body is not None:
            more["json"] = target.works.get(named(operation), {})
        path = target.path(operation.path)
        answer = await asyncio.to_thread(target.ask, operation.method, path, key=key, **more)
        named_here = operation.reach == "all" or "{sync" in operation.path or "params" in more
        closed = {403} if named_here else {200, 201, 400, 403, 404}
        assert answer.status_code in closed, (named(operation), answer.text)
        assert not any(each in answer.text for each in ours), (named(operation), answer.text)


@pytest.mark.parametrize("operation", OWN, ids=named)
async def test_what_nobody_knows_is_refused_by_name(
    operation: Operation, target: Target
) -> None:
    status, problem, _ = await told(target, operation, params={"nmae": "x"})
    assert (status, problem["code"], problem["member"]) == (400, "bad_parameter", "nmae")
    if operation.body is None:
        return
    status, problem, _ = await told(target, operation, json={"nmae": "x"})
    assert (status, problem["code"]) == (400, "bad_body")
    assert "nmae" in {each["member"] for each in problem["errors"]}
    text = {"Content-Type": "text/plain"}
    status, problem, _ = await told(target, operation, data=b"{}", headers=text)
    assert (status, problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", sorted(CALLED, key=lambda each: "DELETE" in each))
async def test_every_answer_is_as_the_document_says(
    label: str, mode: GenerationMode, target: Target
) -> None:
    before = target.answered.total()
    await asyncio.to_thread(target.fuzz, label, mode, CALLS, shrink=False)
    assert target.answered.total() > before

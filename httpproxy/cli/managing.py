"""What the commands over `management` share: the services, documents out of options, lists.

A command builds the documents that the API takes, and prints those that the API answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.running import run
from httpproxy.management.models import Model, wrongs
from httpproxy.management.paging import MAX_LIMIT, Page
from httpproxy.management.services import Services, make_services
from httpproxy.office import open_office
from httpproxy.settings.reading import Settings

T = TypeVar("T")
M = TypeVar("M", bound=Model)


def work(settings: Settings, do: Callable[[Services], Awaitable[T]]) -> T:
    """Does something with the services of `management`, on a database opened for it."""

    async def done() -> T:
        async with open_office(settings) as office:
            return await do(make_services(office))

    return run(settings, done())


async def pages(page: Callable[[int, str | None], Awaitable[Page[T]]]) -> list[T]:
    """All pages of a list, which is asked for by (limit, cursor)."""
    found: list[T] = []
    cursor: str | None = None
    while True:
        one = await page(MAX_LIMIT, cursor)
        found += one.items
        if (cursor := one.next) is None:
            return found


def model(kind: type[M], given: Mapping[str, Any]) -> M:
    """A document out of options. Raises Failure, in the words of the API's 400."""
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        first = wrongs(error)[0]
        raise Failure(f"{first.member} {first.detail}", USAGE) from error


def read_object(option: str, text: str | None) -> dict[str, Any] | None:
    """The JSON object of an option. Raises Failure."""
    if text is None:
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Failure(f"{option} is no valid JSON: {error}", USAGE) from error
    if not isinstance(found, dict):
        raise Failure(f'{option} must be an object, such as {{"customer": 42}}', USAGE)
    return found

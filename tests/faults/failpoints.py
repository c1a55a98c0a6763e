"""The steps at which a process kills itself, each by the function that begins or ends there.

The product knows nothing of them: `arm` wraps the function in a process that is about to
serve. A function that is no longer there is an error, so that no step is lost silently.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Point:
    """A step: before or after a function ("module:Class.method"), or some time into it.

    `seconds` > 0 kills that long after the function was entered. `most` is the greatest
    number of passages that are waited for; where `fruitful`, only those count that gave
    something. `role` is what the process has to do for it, or "others" if there must be some.
    """

    name: str
    function: str
    after: bool = False
    seconds: float = 0.0
    most: int = 30
    role: str = "gateway"
    fruitful: bool = False


_WRITES: Final = "httpproxy.exchange.forwarding.write:Writes"
_CLIENT: Final = "httpproxy.upstream.client:UpstreamClient"
_COMMITTER: Final = "httpproxy.store.commits.commit:Committer"
_WRITER: Final = "httpproxy.store.commits.writer:Writer"
_SETTLEMENT: Final = "httpproxy.exchange.settling.overlaps:Settlement"
_INTENTS: Final = "httpproxy.store.intents.book:Intents"
_PROCESSES: Final = "httpproxy.store.sharing.processes:Processes"
_PERMITS: Final = "httpproxy.store.sharing.permits:Permits"
_OWNERS: Final = "httpproxy.store.sync.owners:Owners"
_PROGRESS: Final = "httpproxy.store.sync.progress:Progress"

POINTS: Final = (
    # The exchange, step by step
    Point("before permit", f"{_WRITES}._permit"),
    Point("after permit", f"{_WRITES}._permit", after=True),
    Point("before intent", f"{_INTENTS}.begin"),
    Point("while the intent is written", "httpproxy.store.wire:Wire.run", seconds=1e-3),
    Point("after intent", f"{_INTENTS}.begin", after=True),
    Point("before send", f"{_CLIENT}.send"),
    # The loop's transport writes at the end of its turn, hence the moment later.
    Point("after send", "aiohttp.client_reqrep:ClientResponse.start", seconds=0.002),
    Point("while the API works", f"{_CLIENT}.send", seconds=0.008),
    Point("after answer", f"{_CLIENT}.send", after=True),
    Point("before commit", f"{_COMMITTER}.commit"),
    Point("in commit, before it is sent", f"{_WRITER}.pipeline"),
    Point("in commit, while Postgres works", f"{_WRITER}.pipeline", seconds=0.001),
    Point("sent to Postgres and not heard", "httpproxy.store.wire:Wire._flush", after=True),
    Point("after commit", f"{_WRITER}.transact", after=True),
    Point("before the answer", "httpproxy.gateway.server:relayed"),
    Point("after the answer", "httpproxy.gateway.answer:Answer.write_eof", after=True),
    # What an answer leaves open
    Point("before a read-back", f"{_SETTLEMENT}.read_back", most=3),
    Point("after a read-back", f"{_SETTLEMENT}.read_back", after=True, most=3),
    Point("before a doubt", f"{_INTENTS}.doubt", most=2),
    Point("after a doubt", f"{_INTENTS}.doubt", after=True, most=2),
    Point("after an adoption", f"{_INTENTS}.due", after=True, most=2, fruitful=True),
    Point("before a look", f"{_SETTLEMENT}.read", most=3),
    Point("after a look", f"{_SETTLEMENT}.read", after=True, most=3),
    Point("before a look is noted", f"{_INTENTS}.looked", most=3),
    Point("after a look was noted", f"{_INTENTS}.looked", after=True, most=3),
    # One process among others
    Point("after it was registered", f"{_PROCESSES}.register", after=True, most=1),
    Point("before a beat", f"{_PROCESSES}.beat", most=2),
    Point("after a beat", f"{_PROCESSES}.beat", after=True, most=2),
    Point("before permits are shared", f"{_PERMITS}.exchange", most=3, role="others"),
    Point("after permits were shared", f"{_PERMITS}.exchange", True, most=3, role="others"),
    Point("before syncs are claimed", f"{_OWNERS}.claim", most=2, role="sync"),
    Point("after syncs were claimed", f"{_OWNERS}.claim", after=True, most=2, role="sync"),
    # The sync
    Point("before a page", f"{_PROGRESS}.turn_page", most=2, role="sync"),
    Point("after a page", f"{_PROGRESS}.turn_page", after=True, most=2, role="sync"),
    Point("before a run", f"{_PROGRESS}.begin_run", most=1, role="sync"),
    Point("after a run began", f"{_PROGRESS}.begin_run", after=True, most=1, role="sync"),
    Point("before a run ends", f"{_PROGRESS}.end_run", most=1, role="sync"),
    Point("after a run", f"{_PROGRESS}.end_run", after=True, most=1, role="sync"),
    Point("before a cursor", f"{_PROGRESS}.save_feed", most=3, role="sync"),
    Point("after a cursor", f"{_PROGRESS}.save_feed", after=True, most=3, role="sync"),
    Point("before a mark is settled", f"{_PROGRESS}.settle", most=3, role="sync"),
    Point("after a mark was settled", f"{_PROGRESS}.settle", after=True, most=3, role="sync"),
)
BY_NAME: Final = {point.name: point for point in POINTS}


def arm(point: Point, passage: int, last_word: Callable[[], None]) -> None:
    """From now on this process ends at the `passage`-th passage of the point, hard.

    `last_word` is called just before. Raises AttributeError if there is no such function.
    """
    left = passage

    def die() -> None:
        last_word()
        os.kill(os.getpid(), signal.SIGKILL)

    def passes(*, after: bool, found: Any = None) -> None:
        nonlocal left
        if after != point.after or (point.fruitful and not found):
            return
        left -= 1
        if left == 0 and point.seconds:
            asyncio.get_running_loop().call_later(point.seconds, die)
        elif left == 0:
            die()

    owner, name = found(point)
    setattr(owner, name, _wrapped(getattr(owner, name), passes))


def found(point: Point) -> tuple[Any, str]:
    """The class and the name of the point's function. Raises AttributeError."""
    module, _, path = point.function.partition(":")
    owner = import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    getattr(owner, name)
    return owner, name


def _wrapped(function: Any, passes: Callable[..., None]) -> Any:
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def passing(*arguments: Any, **options: Any) -> Any:
            passes(after=False)
            result = await function(*arguments, **options)
            passes(after=True, found=result)
            return result
    else:

        @wraps(function)
        def passing(*arguments: Any, **options: Any) -> Any:
            passes(after=False)
            result = function(*arguments, **options)
            passes(after=True, found=result)
            return result

    return passing

"""A feed of the simulated base, and who listens to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from airtable_calls import Account

from providers.airtable.provider import AIRTABLE
from providers.http import Request
from providers.record import JSON
from providers.spec import Feed, Heard

DAY = 86_400.0


@dataclass
class Listener:
    """Listens, keeps the state as a database would, and counts the requests it took."""

    account: Account
    state: JSON = None
    sent: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.feed,) = AIRTABLE.feeds(self.account.discover().collections)

    def listen(self, feed: Feed | None = None) -> Heard:
        """One call, answered by the simulator."""
        heard = self._driven(AIRTABLE.listen(feed or self.feed, self.state, self.account.now))
        self.state = json.loads(json.dumps(heard.state))
        return heard

    def listen_to_the_end(self) -> list[Heard]:
        """Calls until there is no more."""
        found = [self.listen()]
        while found[-1].more:
            found.append(self.listen())
        return found

    def hang_up(self) -> None:
        self._driven(AIRTABLE.hang_up(self.feed, self.state))

    def _driven(self, conversation: Any) -> Any:
        self.sent = []
        try:
            request = next(conversation)
            while True:
                self.sent.append(request)
                request = conversation.send(self.account.send(request).response)
        except StopIteration as done:
            return done.value


def told(heard: Heard) -> set[tuple[str, str | None]]:
    """(table, record) of every image and mark; no record for a mark of the whole table."""
    marks = {(d.collection, d.key[0] if d.key else None) for d in heard.change.dirty}
    return marks | {(i.collection, i.record_id) for i in heard.change.images}

"""What an API's answers state takes the place of a default rate, and never of a ceiling."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from neighbours.house import PORTAL, add_sync, open_house
from neighbours.recorder import Recorder, http
from one_account import JSON_TYPE, OneAccount

from httpproxy.exchange.directory.allotment import KEPT_SECONDS, Allotment
from httpproxy.exchange.directory.apis import APIS, Api
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter
from providers.http import Request, Response, headers
from providers.spec import Budget

KEY = ("hubspot", PORTAL, "standard")
DEFAULT = (100, 10.0)


def stating(requests: object, milliseconds: object = 10_000, status: int = 200) -> Response:
    return Response(
        status,
        headers(
            ("X-HubSpot-RateLimit-Max", f"{requests}"),
            ("X-HubSpot-RateLimit-Interval-Milliseconds", f"{milliseconds}"),
        ),
    )


class Portal:
    """A portal's allotments and the one lane of its standard budget."""

    def __init__(self) -> None:
        self.limiter = Limiter()

    def sync(self, name: str, *rates: Budget) -> Allotment:
        allotment = Allotment(APIS["hubspot"], PORTAL, self.limiter, rates, name)
        self.limiter.take(allotment.lane("standard"), Priority.WRITE)
        return allotment

    @property
    def rate(self) -> tuple[int, float]:
        (state,) = self.limiter.states()
        return state.budget.allowed_requests, state.budget.interval


@pytest.fixture
async def portal():
    portal = Portal()
    yield portal
    portal.limiter.close()


async def test_a_stated_rate_takes_the_place_of_the_default_in_both_directions(portal: Portal):
    for requests in (190, 60):
        sync = portal.sync(f"sync {requests}")
        assert portal.rate == DEFAULT
        sync.heed("standard", stating(requests), 0.0)
        assert portal.rate == (requests, 10.0)
        assert sync.rate("standard") == Budget("standard", requests, 10.0)
        sync.give_back()
        portal.limiter.forget(KEY, f"sync {requests}")


async def test_a_rate_that_the_user_set_is_never_exceeded(portal: Portal):
    sync = portal.sync("ours", Budget("standard", 50, 10.0))
    sync.heed("standard", stating(190), 0.0)
    assert portal.rate == (50, 10.0)
    sync.heed("standard", stating(40), 1.0)
    assert portal.rate == (40, 10.0)


async def test_a_ceiling_of_another_interval_is_kept_as_well_as_what_is_stated(portal: Portal):
    sync = portal.sync("ours", Budget("standard", 15, 1.0))
    sync.heed("standard", stating(100), 0.0)
    assert portal.rate == (10, 1.0)  # at most 15 a second, and at most 100 in ten


async def test_the_smallest_of_several_syncs_holds_for_their_one_lane(portal: Portal):
    first, second = portal.sync("first"), portal.sync("second", Budget("standard", 30, 10.0))
    first.heed("standard", stating(190), 0.0)
    assert portal.rate == (30, 10.0)
    second.give_back()
    assert portal.rate == (190, 10.0)
    third = portal.sync("third")  # it has heard nothing yet
    assert portal.rate == DEFAULT
    third.heed("standard", stating(190), 0.0)
    assert portal.rate == (190, 10.0)


async def test_of_two_apps_of_one_account_the_smaller_rate_holds_while_it_is_heard_of(
    portal: Portal,
):
    sync = portal.sync("ours")
    sync.heed("standard", stating(100), 0.0)
    sync.heed("standard", stating(190), 1.0)
    assert portal.rate == (100, 10.0)
    sync.heed("standard", stating(100), KEPT_SECONDS)
    sync.heed("standard", stating(190), 2 * KEPT_SECONDS - 1)
    assert portal.rate == (100, 10.0)
    sync.heed("standard", stating(190), 2 * KEPT_SECONDS)
    assert portal.rate == (190, 10.0)


async def test_a_rate_that_shrank_holds_at_once(portal: Portal):
    sync = portal.sync("ours")
    sync.heed("standard", stating(190), 0.0)
    sync.heed("standard", stating(20), 1.0)
    assert portal.rate == (20, 10.0)


@pytest.mark.parametrize("odd", [Budget("standard", 0, 1.0), Budget("standard", 5, 0.0)])
async def test_a_rate_that_no_lane_can_keep_to_is_no_rate(portal: Portal, odd: Budget):
    api = APIS["hubspot"]
    provider = replace(api.provider, allowed=lambda budget, response: odd)
    sync = Allotment(Api(provider, api.router), PORTAL, portal.limiter, (), "ours")
    portal.limiter.take(sync.lane("standard"), Priority.WRITE)
    sync.heed("standard", Response(200), 0.0)
    assert portal.rate == DEFAULT


@pytest.mark.parametrize("odd", ["0", "-1", "many", "", "1e3", "100, 100"])
async def test_headers_that_cannot_be_read_state_nothing(portal: Portal, odd: str):
    sync = portal.sync("ours")
    sync.heed("standard", stating(odd), 0.0)
    sync.heed("standard", stating(10, odd), 0.0)
    assert portal.rate == DEFAULT


async def test_an_answer_that_states_no_rate_changes_none(portal: Portal):
    sync = portal.sync("ours")
    sync.heed("standard", stating(60), 0.0)
    sync.heed("standard", Response(200), 1.0)
    sync.heed("search", stating(5), 1.0)  # a search's limit is in no header
    assert portal.rate == (60, 10.0)
    assert sync.rate("search") == Budget("search", 5, 1.0)


async def test_a_refusal_states_its_rate_too_and_is_heeded(portal: Portal):
    sync = portal.sync("ours")
    sync.heed("standard", stating(60, status=429), 0.0)
    (state,) = portal.limiter.states()
    assert portal.rate == (60, 10.0)
    assert state.paused == pytest.approx(10, abs=0.5)


async def test_what_was_under_way_when_a_sync_went_allots_nothing_for_good(portal: Portal):
    gone = portal.sync("gone", Budget("standard", 1, 60.0))
    gone.give_back()
    (state,) = portal.limiter.states()
    # Its last calls go on in the lane, at what it was allotted if nobody else has it …
    assert gone.lane("standard") == state.key
    gone.heed("standard", stating(5), 0.0)
    gone.heed("standard", Response(429), 0.0)
    # … and whoever comes next finds nothing of it.
    portal.sync("new", Budget("standard", 70, 10.0))
    assert portal.rate == (70, 10.0)


async def test_the_last_calls_of_a_sync_have_a_lane_when_nobody_else_has(portal: Portal):
    gone = Allotment(
        APIS["hubspot"], PORTAL, portal.limiter, (Budget("standard", 2, 10.0),), "gone"
    )
    gone.give_back()
    assert portal.limiter.take(gone.lane("standard"), Priority.WRITE)
    assert portal.rate == (2, 10.0)


async def test_the_last_calls_of_a_sync_go_in_the_lane_that_others_are_in(portal: Portal):
    gone = portal.sync("gone", Budget("standard", 2, 60.0))
    portal.sync("other", Budget("standard", 2, 60.0))
    gone.give_back()
    assert portal.limiter.take(gone.lane("standard"), Priority.WRITE) is None


async def test_a_proxied_write_teaches_the_lane_what_the_sync_may_use(
    database_dsn: str, tmp_path: Path
):
    contact = b'{"id":"1","properties":{},"archived":false}'
    pairs = list(stating(4, 500).headers.items())
    async with (
        Recorder(http(201, JSON_TYPE, *pairs, body=contact)) as api,
        open_house(database_dsn, tmp_path, api.url) as house,
    ):
        info = b'{"userId":1,"hubId":%b,"appId":2,"scopes":[]}' % PORTAL.encode()
        api.by_target["/oauth/"] = http(200, JSON_TYPE, body=info)
        account = OneAccount(house, await add_sync(house, "hubspot"), api)
        await house.service.directory.refresh()
        answer = await account.write(
            target="/api.hubapi.com/crm/v3/objects/contacts", token="pat-na1-x"
        )
        assert answer.status == 201
        rates = {state.key: state.budget for state in account.limiter.states()}
        assert rates[KEY] == Budget("standard", 4, 0.5)

        def read():
            response = yield Request("GET", "api.hubapi.com", "/crm/v3/objects/contacts")
            return response.status

        begun = len(api.seen)
        await asyncio.gather(*(account.calls.converse(account.live, read()) for _ in range(9)))
        moments = [seen.at for seen in api.seen[begun:]]
        assert max(moments) - min(moments) >= 0.95

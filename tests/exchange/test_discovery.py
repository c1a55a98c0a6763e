"""What is discovered when some of it is gone, refused or new. No API is asked."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from httpproxy.exchange.schema.discovery import Discovered, Known, discover
from providers.http import Response
from providers.record import Collection
from providers.spec import Refused, UnknownCollection


def refusal(status: int) -> Refused:
    response = Response(status)
    return Refused(response, "no", "do something")


class Api:
    """Collections by id, each with a name; some are refused. Counts what it is asked."""

    def __init__(self, names: dict[str, str], refused: dict[str, int] | None = None) -> None:
        self.names, self.refused, self.asked = names, refused or {}, 0

    async def __call__(self, wanted: tuple[str, ...]) -> tuple[Collection, ...]:
        self.asked += 1
        found: list[Collection] = []
        for spelling in wanted:
            known = [i for i, name in self.names.items() if spelling in (i, name)]
            if not known:
                raise UnknownCollection(spelling, sorted(self.names.values()))
            found.append(Collection(known[0], self.names[known[0]], ()))
        for each in found:
            if each.id in self.refused:
                raise refusal(self.refused[each.id])
        return tuple({c.id: c for c in found}.values())


def known(*ids: str, removed: Iterable[str] = ()) -> list[Known]:
    return [Known(Collection(i, i.upper(), ()), i in removed) for i in ids]


def ids(now: Discovered) -> list[str]:
    return [collection.id for collection in now.found]


async def test_what_is_as_it_was_costs_one_question() -> None:
    api = Api({"a": "A", "b": "B", "c": "C"})
    now = await discover(api, known("a", "b"), takes_new=False)
    assert (ids(now), now.gone, now.refused, now.uncovered) == (["a", "b"], (), {}, ())
    assert api.asked == 1


async def test_new_collections_join_where_all_are_covered_and_are_told_elsewhere() -> None:
    api = Api({"a": "A", "n": "New"})
    assert ids(await discover(api, known("a"), takes_new=True)) == ["a", "n"]
    now = await discover(api, known("a"), takes_new=False, tells_new=True)
    assert (ids(now), now.uncovered) == (["a"], ("New",))


async def test_new_collections_that_are_refused_cost_nothing_the_next_time() -> None:
    api = Api({"a": "A", "n": "New", "o": "Other"}, {"n": 403})
    now = await discover(api, known("a"), takes_new=True)
    assert (ids(now), now.beyond, now.refused) == (["a", "o"], ("New",), {})
    api.asked = 0
    now = await discover(api, known("a", "o"), takes_new=True, passing={"New"})
    assert (ids(now), now.beyond) == (["a", "o"], ())
    assert api.asked == 2


async def test_a_new_collection_may_have_the_name_of_one_that_is_gone() -> None:
    api = Api({"n": "A"})
    for removed in ((), ("a",)):
        now = await discover(api, known("a", removed=removed), takes_new=True)
        assert (ids(now), now.gone) == (["n"], ("a",))


async def test_what_is_refused_stays_so_when_others_join() -> None:
    api = Api({"a": "A", "b": "B", "n": "New"}, {"b": 403})
    now = await discover(api, known("a", "b"), takes_new=True)
    assert (ids(now), list(now.refused), now.gone) == (["a", "n"], ["b"], ())
    assert now.uncovered == ()


async def test_a_renamed_collection_is_no_new_one() -> None:
    api = Api({"a": "Another name"})
    now = await discover(api, known("a"), takes_new=True, tells_new=True)
    assert (ids(now), now.uncovered) == (["a"], ())


async def test_what_is_gone_is_told_and_keeps_no_other_from_being_described() -> None:
    now = await discover(Api({"b": "B"}), known("a", "b", "c"), takes_new=False)
    assert (ids(now), now.gone) == (["b"], ("a", "c"))


async def test_what_was_gone_is_looked_for_by_its_name_only_if_it_is_there() -> None:
    api = Api({"b": "B"})
    lost = known(*"abcdefg", removed="acdefg")
    assert (await discover(api, lost, takes_new=False)).gone == tuple("acdefg")
    assert api.asked == 2
    back = Api({"a": "A", "b": "B"})
    assert ids(await discover(back, lost, takes_new=False)) == ["a", "b"]


async def test_what_is_refused_is_told_and_nothing_counts_as_gone_for_it() -> None:
    """The pair of a refused type is not described either; it is not gone."""
    api = Api({"a": "A", "b": "B", "c": "C"}, {"b": 403})
    now = await discover(api, known("a", "b", "c"), takes_new=False)
    assert (ids(now), now.gone, list(now.refused)) == (["a", "c"], (), ["b"])
    quiet = Api({"a": "A"}, {})
    quiet.names |= {"b": "B"}
    quiet.refused = {"b": 403}
    now = await discover(quiet, known("a", "b", "pair"), takes_new=False)
    assert now.gone == ("pair",), "what the API says is nowhere is gone all the same"


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_what_is_wrong_with_all_is_no_refusal_of_one(status: int) -> None:
    api = Api({"a": "A", "b": "B"}, {"a": status})
    with pytest.raises(Refused):
        await discover(api, known("a", "b"), takes_new=False)
    assert api.asked == 1


async def test_where_all_are_refused_the_refusal_is_raised() -> None:
    api = Api({"a": "A", "b": "B"}, {"a": 403, "b": 403})
    with pytest.raises(Refused):
        await discover(api, known("a", "b"), takes_new=False)


async def test_an_api_that_does_not_tell_what_there_is_still_describes_what_is_known() -> None:
    class Silent(Api):
        async def __call__(self, wanted: tuple[str, ...]) -> tuple[Collection, ...]:
            if wanted == ("",):
                raise refusal(self.refused.get("", 403))
            return await super().__call__(wanted)

    now = await discover(Silent({"a": "A", "n": "New"}), known("a"), takes_new=True)
    assert (ids(now), now.uncovered) == (["a"], ())
    with pytest.raises(Refused):
        await discover(Silent({"a": "A"}, {"": 500}), known("a"), takes_new=True)


async def test_what_is_added_by_name_is_described_with_what_is_known() -> None:
    api = Api({"a": "A", "b": "B", "n": "New", "o": "Other"}, {"b": 403})
    now = await discover(api, known("a"), takes_new=False, tells_new=True, adding=["New"])
    assert (ids(now), now.uncovered) == (["a", "n"], ("B", "Other"))
    beside = await discover(api, known("a", "b"), takes_new=False, adding=["New"])
    assert (ids(beside), list(beside.refused)) == (["a", "n"], ["b"])
    alone = await discover(api, known("z"), takes_new=False, adding=["New"])
    assert (ids(alone), alone.gone) == (["n"], ("z",))


async def test_what_is_to_be_added_and_cannot_be_fails_the_discovery() -> None:
    api = Api({"a": "A", "b": "B", "n": "New"}, {"n": 403})
    with pytest.raises(UnknownCollection, match="Nowhere"):
        await discover(api, known("a"), takes_new=False, adding=["Nowhere"])
    for there in (known("a", "b"), known("a"), ()):
        with pytest.raises(Refused):
            await discover(api, there, takes_new=False, adding=["New"])

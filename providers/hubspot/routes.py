"""HubSpot's route table, as lines and the path families that they hold in.

HubSpot serves one API under several prefixes: `/crm/v3/objects`, the alias
`/crm/objects/v3` that its own paging links use, and dated versions
(`/crm/objects/2025-09`, `/crm/objects/2026-03-beta`), where the version is a variable
because a new one comes twice a year. The lines are the same below each prefix, so the
table is the product of lines and families.

`{type}` takes any spelling of an object type. Literal segments win over variables:
`POST …/contacts/search` is the search and not a record named "search".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from providers.hubspot import associations, drafts, effects, images, pair_drafts
from providers.spec import Action, Drafter, DraftKind, Reader, Route

READ, WRITE, EFFECT = Action.READ, Action.WRITE, Action.EFFECT

REREAD: Final = "definitions and the collection are read again"
LEGACY: Final = "the collection is read again"


class Line(NamedTuple):
    """A route below a family's prefix."""

    name: str
    method: str
    path: str
    action: Action = Action.READ
    commits: str = "nothing"
    read: Reader | None = None
    draft: Drafter | None = None
    budget: str = "standard"


class Family(NamedTuple):
    """Prefixes, with the words that tell them apart in route names, and their lines."""

    prefixes: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


def _effect(name: str, method: str, path: str) -> Line:
    return Line(name, method, path, EFFECT, "nothing", effects.nothing, pair_drafts.nothing)


def _redefines(name: str, method: str, path: str) -> Line:
    return Line(name, method, path, EFFECT, REREAD, effects.redefined, pair_drafts.touched())


_ARCHIVES: Final = "archives the record"
_MERGES: Final = "merges the answer's properties"
_BATCH: Final = "merges every result, whatever failed beside it"

OBJECTS: Final = (
    Line("list records", "GET", "/{type}"),
    Line("read record", "GET", "/{type}/{id}"),
    Line("create record", "POST", "/{type}", WRITE,
         f"{_MERGES}; adds the request's associations", associations.created, drafts.created),
    Line("update record", "PATCH", "/{type}/{id}", WRITE, _MERGES, images.record,
         drafts.updated),
    Line("archive record", "DELETE", "/{type}/{id}", WRITE, _ARCHIVES, images.archived,
         drafts.archived),
    Line("batch create records", "POST", "/{type}/batch/create", WRITE,
         f"{_BATCH}; adds the request's associations", associations.batch_created,
         drafts.batch_created),
    Line("batch update records", "POST", "/{type}/batch/update", WRITE, _BATCH, images.records,
         drafts.batch_updated),
    Line("batch upsert records", "POST", "/{type}/batch/upsert", WRITE, _BATCH, images.records,
         drafts.batch_upserted),
    Line("batch archive records", "POST", "/{type}/batch/archive", WRITE,
         "archives the request's records", images.batch_archived,
         drafts.batch_archived),
    Line("batch read records", "POST", "/{type}/batch/read"),
    Line("search records", "POST", "/{type}/search", budget="search"),
    Line("merge records", "POST", "/{type}/merge", WRITE,
         "merges the new record; deletes both old ids", images.merge, drafts.merged),
    Line("delete record for GDPR", "POST", "/{type}/gdpr-delete", WRITE,
         "deletes the record, by id or unique property", images.gdpr_deleted,
         drafts.gdpr_deleted),
    Line("read deal splits", "POST", "/deals/splits/batch/read"),
    Line("upsert deal splits", "POST", "/deals/splits/batch/upsert", EFFECT, LEGACY,
         effects.touched("deals"), pair_drafts.touched("deals")),
)  # fmt: skip

_FROM: Final = "/{from}/{from_id}/associations"
_TYPED: Final = f"{_FROM}/{{to}}/{{to_id}}/{{association_type}}"
_ADDS: Final = "adds the pair"
_REMOVES: Final = "removes the pair"

# By association type in the path: the only form under /crm/v3, still accepted elsewhere.
TYPED_ASSOCIATIONS: Final = (
    Line("list associated", "GET", f"{_FROM}/{{to}}"),
    Line("associate by type", "PUT", _TYPED, WRITE,
         _ADDS, associations.associated, pair_drafts.associated),
    Line("dissociate by type", "DELETE", _TYPED, WRITE,
         "removes the pair; it is read again", associations.type_dissociated,
         pair_drafts.type_dissociated),
)  # fmt: skip

LABELLED_ASSOCIATIONS: Final = (
    Line("associate by default", "PUT", f"{_FROM}/default/{{to}}/{{to_id}}", WRITE,
         _ADDS, associations.associated, pair_drafts.associated),
    Line("associate with labels", "PUT", f"{_FROM}/{{to}}/{{to_id}}", WRITE,
         f"{_ADDS}, with the answer's labels", associations.associated,
         pair_drafts.associated_with_labels),
    Line("dissociate", "DELETE", f"{_FROM}/{{to}}/{{to_id}}", WRITE,
         _REMOVES, associations.dissociated, pair_drafts.dissociated),
)  # fmt: skip

ASSOCIATIONS: Final = (
    Line("batch associate", "POST", "/{from}/{to}/batch/create", WRITE,
         "adds the pairs that did not fail", associations.batch_associated,
         pair_drafts.batch(DraftKind.UPSERT, "types")),
    Line("batch dissociate", "POST", "/{from}/{to}/batch/archive", WRITE,
         "removes the request's pairs", associations.batch_dissociated,
         pair_drafts.batch(DraftKind.DELETE)),
    Line("batch read associations", "POST", "/{from}/{to}/batch/read"),
    Line("list association types", "GET", "/{from}/{to}/types"),
)  # fmt: skip

LABELS: Final = (
    Line("batch associate by default", "POST", "/{from}/{to}/batch/associate/default", WRITE,
         "adds the pairs that did not fail", associations.batch_associated,
         pair_drafts.batch(DraftKind.UPSERT)),
    Line("batch remove labels", "POST", "/{from}/{to}/batch/labels/archive", WRITE,
         "the pairs are read again", associations.labels_removed,
         pair_drafts.batch(DraftKind.TOUCH, "types")),
    Line("list labels", "GET", "/{from}/{to}/labels"),
    Line("create label", "POST", "/{from}/{to}/labels", EFFECT, REREAD, effects.relabelled,
         pair_drafts.relabelled),
    Line("update label", "PUT", "/{from}/{to}/labels", EFFECT, REREAD, effects.relabelled,
         pair_drafts.relabelled),
    Line("delete label", "DELETE", "/{from}/{to}/labels/{label}", EFFECT, REREAD,
         effects.relabelled, pair_drafts.relabelled),
    Line("list all association limits", "GET", "/definitions/configurations/all"),
    Line("list association limits", "GET", "/definitions/configurations/{from}/{to}"),
    _effect("create association limits", "POST",
            "/definitions/configurations/{from}/{to}/batch/create"),
    _effect("update association limits", "POST",
            "/definitions/configurations/{from}/{to}/batch/update"),
    _effect("remove association limits", "POST",
            "/definitions/configurations/{from}/{to}/batch/purge"),
    _effect("request association usage report", "POST", "/usage/high-usage-report/{user}"),
)  # fmt: skip

PROPERTIES: Final = (
    Line("list properties", "GET", "/{type}"),
    Line("read property", "GET", "/{type}/{name}"),
    Line("batch read properties", "POST", "/{type}/batch/read"),
    _redefines("create property", "POST", "/{type}"),
    _redefines("update property", "PATCH", "/{type}/{name}"),
    _redefines("archive property", "DELETE", "/{type}/{name}"),
    _redefines("batch create properties", "POST", "/{type}/batch/create"),
    _redefines("batch archive properties", "POST", "/{type}/batch/archive"),
    Line("list property groups", "GET", "/{type}/groups"),
    Line("read property group", "GET", "/{type}/groups/{group}"),
    _effect("create property group", "POST", "/{type}/groups"),
    _effect("update property group", "PATCH", "/{type}/groups/{group}"),
    _effect("archive property group", "DELETE", "/{type}/groups/{group}"),
)

PIPELINES: Final = (
    Line("list pipelines", "GET", "/{type}"),
    _effect("create pipeline", "POST", "/{type}"),
    Line("read pipeline", "GET", "/{type}/{pipeline}"),
    _effect("replace pipeline", "PUT", "/{type}/{pipeline}"),
    _effect("update pipeline", "PATCH", "/{type}/{pipeline}"),
    _effect("delete pipeline", "DELETE", "/{type}/{pipeline}"),
    Line("read pipeline audit", "GET", "/{type}/{pipeline}/audit"),
    Line("list stages", "GET", "/{type}/{pipeline}/stages"),
    _effect("create stage", "POST", "/{type}/{pipeline}/stages"),
    Line("read stage", "GET", "/{type}/{pipeline}/stages/{stage}"),
    _effect("replace stage", "PUT", "/{type}/{pipeline}/stages/{stage}"),
    _effect("update stage", "PATCH", "/{type}/{pipeline}/stages/{stage}"),
    _effect("delete stage", "DELETE", "/{type}/{pipeline}/stages/{stage}"),
    Line("read stage audit", "GET", "/{type}/{pipeline}/stages/{stage}/audit"),
)

OWNERS: Final = (
    Line("list owners", "GET", ""),
    Line("read owner", "GET", "/{owner}"),
)

SCHEMAS: Final = (
    Line("list schemas", "GET", ""),
    Line("read schema", "GET", "/{type}"),
    _redefines("create schema", "POST", ""),
    _redefines("update schema", "PATCH", "/{type}"),
    _redefines("delete schema", "DELETE", "/{type}"),
    _redefines("create schema association", "POST", "/{type}/associations"),
    _redefines("delete schema association", "DELETE", "/{type}/associations/{association}"),
)

LISTS: Final = (
    Line("find lists", "GET", ""),
    Line("read lists", "GET", "/{rest...}"),
    Line("search lists", "POST", "/search"),
    Line("map legacy list ids", "POST", "/idmapping"),
    _effect("create list", "POST", ""),
    _effect("create in lists", "POST", "/{rest...}"),
    _effect("change lists", "PUT", "/{rest...}"),
    _effect("delete lists", "DELETE", "/{rest...}"),
)

# Where a private app and an OAuth app learn whose token they hold. Read only.
ACCOUNT: Final = (
    Line("read access token", "GET", "/oauth/v1/access-tokens/{token}"),
    Line("read refresh token", "GET", "/oauth/v1/refresh-tokens/{token}"),
    Line("read private app token", "POST", "/oauth/v2/private-apps/get/access-token-info"),
    Line("read account", "GET", "/account-info/v3/details"),
    Line("read API usage", "GET", "/account-info/v3/api-usage/{rest...}"),
    Line("read legacy account", "GET", "/integrations/v1/me"),
    Line("read legacy limits", "GET", "/integrations/v1/limit/{rest...}"),
)

_ENGAGEMENTS: Final = ("notes", "calls", "tasks", "meetings", "emails")
_LEGACY: Final[tuple[tuple[str, str, str, Reader, Drafter], ...]] = (
    ("contacts", "/contacts/v1", LEGACY,
     effects.touched("contacts"), pair_drafts.touched("contacts")),
    ("companies", "/companies/v2", LEGACY,
     effects.touched("companies"), pair_drafts.touched("companies")),
    ("deals", "/deals/v1", LEGACY,
     effects.touched("deals"), pair_drafts.touched("deals")),
    ("engagements", "/engagements/v1", LEGACY,
     effects.touched(*_ENGAGEMENTS), pair_drafts.touched(*_ENGAGEMENTS)),
    ("objects", "/crm-objects/v1/objects/{type}", LEGACY,
     effects.touched(), pair_drafts.touched()),
    ("associations", "/crm-associations/v1", "all pairs are read again",
     effects.pairs_touched, pair_drafts.pairs_touched),
    ("properties", "/properties/v1/{type}", REREAD,
     effects.redefined, pair_drafts.touched()),
    ("properties v2", "/properties/v2/{type}", REREAD,
     effects.redefined, pair_drafts.touched()),
    ("pipelines", "/crm-pipelines/v1", "nothing", effects.nothing, pair_drafts.nothing),
    ("owners", "/owners/v2", "nothing", effects.nothing, pair_drafts.nothing),
)  # fmt: skip

_V3_OBJECTS: Final = ("", "/crm/v3/objects")
_ALIAS_OBJECTS: Final = ("alias", "/crm/objects/v3")
_DATED_OBJECTS: Final = ("dated", "/crm/objects/{version}")
_V4_OBJECTS: Final = ("v4", "/crm/v4/objects")
_V3_PAIRS: Final = ("v3", "/crm/v3/associations")
_V4_PAIRS: Final = ("v4", "/crm/v4/associations")
_DATED_PAIRS: Final = ("dated", "/crm/associations/{version}")


def _versions(name: str) -> tuple[tuple[str, str], ...]:
    return (("", f"/crm/v3/{name}"), ("dated", f"/crm/{name}/{{version}}"))


FAMILIES: Final = (
    Family((_V3_OBJECTS, _ALIAS_OBJECTS, _DATED_OBJECTS), OBJECTS),
    Family((_V3_OBJECTS, _ALIAS_OBJECTS, _DATED_OBJECTS, _V4_OBJECTS), TYPED_ASSOCIATIONS),
    Family((_V4_OBJECTS, _ALIAS_OBJECTS, _DATED_OBJECTS), LABELLED_ASSOCIATIONS),
    Family((_V3_PAIRS, _V4_PAIRS, _DATED_PAIRS), ASSOCIATIONS),
    Family((_V4_PAIRS, _DATED_PAIRS), LABELS),
    Family(_versions("properties"), PROPERTIES),
    Family(_versions("pipelines"), PIPELINES),
    Family(_versions("owners"), OWNERS),
    Family(
        (
            ("", "/crm-object-schemas/v3/schemas"),
            ("dated", "/crm-object-schemas/{version}/schemas"),
        ),
        SCHEMAS,
    ),
    Family(_versions("lists"), LISTS),
    Family((("", ""),), ACCOUNT),
)


def _routes() -> Iterator[Route]:
    for prefixes, lines in FAMILIES:
        for word, prefix in prefixes:
            for line in lines:
                name = f"{line.name} ({word})" if word else line.name
                yield Route(
                    name,
                    line.method,
                    f"{prefix}{line.path}",
                    line.action,
                    line.commits,
                    line.read,
                    line.draft,
                    line.budget,
                )
    for what, prefix, commits, read, draft in _LEGACY:
        for root, path in (("", "/{rest...}"), (" root", "")):
            yield Route(f"read legacy {what}{root}", "GET", f"{prefix}{path}", READ)
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                name = f"{method} legacy {what}{root}"
                yield Route(name, method, f"{prefix}{path}", EFFECT, commits, read, draft)


ROUTES: Final = tuple(_routes())

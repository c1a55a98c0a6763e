"""What a fresh portal knows: object types, their properties and pipelines.

Far fewer properties than HubSpot has, and of every kind that it has. A property is
written in one line: name, type/fieldType, and what is special about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from providers.hubspot.objects import STANDARD
from providers.hubspot.sandbox.state import Definition, ObjectKind, stamp
from providers.record import JSON


class Spec(NamedTuple):
    """A property: `marks` are of "unique", "computed"; `options` are the allowed values."""

    name: str
    type: str
    options: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()


def _spec(line: str) -> Spec:
    name, type_, *rest = line.split()
    options = tuple(o for word in rest if word.startswith("=") for o in word[1:].split("|"))
    return Spec(name, type_, options, frozenset(w for w in rest if not w.startswith("=")))


_EVERY: Final = """
hs_object_id number/number computed
hs_object_source string/text computed
hs_object_source_id string/text computed
hs_created_by_user_id number/number computed
hs_merged_object_ids enumeration/checkbox computed
hubspot_owner_id enumeration/select
"""

_SPECIFIC: Final[Mapping[str, str]] = {
    "0-1": """
email string/text unique
firstname string/text
lastname string/text
phone phone_number/phonenumber
jobtitle string/text
company string/text
website string/text
lifecyclestage enumeration/radio =subscriber|lead|opportunity|customer|evangelist
hs_lead_status enumeration/radio =NEW|OPEN|IN_PROGRESS|CONNECTED
hs_buying_role enumeration/checkbox =BLOCKER|CHAMPION|DECISION_MAKER|END_USER
hs_email_domain string/text computed
associatedcompanyid number/number computed
num_associated_deals number/number computed
customer_number string/text unique
score number/number
is_partner bool/booleancheckbox
birthday date/date
next_call datetime/date
""",
    "0-2": """
name string/text
domain string/text
phone phone_number/phonenumber
city string/text
country string/text
industry enumeration/select =ACCOUNTING|COMPUTER_SOFTWARE|RETAIL
numberofemployees number/number
annualrevenue number/number
lifecyclestage enumeration/radio =subscriber|lead|opportunity|customer|evangelist
num_associated_contacts number/number computed
num_associated_deals number/number computed
""",
    "0-3": """
dealname string/text
amount number/number
dealstage enumeration/radio
pipeline enumeration/select
closedate datetime/date
dealtype enumeration/radio =newbusiness|existingbusiness
hs_is_closed bool/booleancheckbox computed
num_associated_contacts number/number computed
""",
    "0-5": """
subject string/text
content string/textarea
hs_pipeline enumeration/select
hs_pipeline_stage enumeration/select
hs_ticket_priority enumeration/select =LOW|MEDIUM|HIGH
hs_ticket_category enumeration/checkbox =PRODUCT_ISSUE|BILLING_ISSUE|FEATURE_REQUEST
hs_ticket_id number/number computed
""",
    "0-7": """
name string/text
description string/textarea
price number/number
hs_sku string/text unique
recurringbillingfrequency enumeration/select =monthly|quarterly|annually
""",
    "0-8": """
name string/text
price number/number
quantity number/number
amount number/number computed
hs_product_id number/number
""",
    "0-27": """
hs_timestamp datetime/date
hs_task_subject string/text
hs_task_body string/html
hs_task_status enumeration/select =NOT_STARTED|IN_PROGRESS|WAITING|COMPLETED
""",
    "0-46": """
hs_timestamp datetime/date
hs_note_body string/html
""",
    "0-47": """
hs_timestamp datetime/date
hs_meeting_title string/text
hs_meeting_start_time datetime/date
hs_meeting_end_time datetime/date
hs_meeting_location object_coordinates/text
""",
    "0-48": """
hs_timestamp datetime/date
hs_call_title string/text
hs_call_body string/html
hs_call_duration number/number
""",
    "0-49": """
hs_timestamp datetime/date
hs_email_subject string/text
hs_email_text string/textarea
hs_email_headers json/text
""",
}
_OTHERS: Final = """
hs_timestamp datetime/date
hs_name string/text
"""

# Types with own names for the two moments that every record has.
_MOMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "0-1": ("createdate", "lastmodifieddate"),
    **dict.fromkeys(("0-2", "0-3", "0-5", "0-7", "0-8"), ("createdate", "hs_lastmodifieddate")),
}
_DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "0-1": ("email", "firstname", "lastname"),
    "0-2": ("domain", "name"),
    "0-3": ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    "0-5": ("content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "subject"),
    "0-7": ("description", "name", "price"),
    "0-8": ("name", "price", "quantity"),
}


def standard_kinds(now: float) -> dict[str, ObjectKind]:
    """Every standard object type, empty."""
    return {
        kind.id: new_kind(
            (kind.id, kind.plural, kind.singular),
            sorted(kind.spellings),
            property_definitions(_SPECIFIC.get(kind.id, _OTHERS), now),
            now,
        )
        for kind in STANDARD
    }


def new_kind(
    names: tuple[str, str, str],
    spellings: list[str],
    properties: Iterable[Definition],
    now: float,
) -> ObjectKind:
    """An object type (id, plural, singular) with the properties that every type has."""
    created, modified = _MOMENTS.get(names[0], ("hs_createdate", "hs_lastmodifieddate"))
    moments = f"{created} datetime/date computed\n{modified} datetime/date computed"
    every = property_definitions(f"{_EVERY}{moments}", now)
    return ObjectKind(
        *names,
        spellings=[spelling.lower() for spelling in spellings],
        defaults=sorted({*_DEFAULTS.get(names[0], ()), created, modified, "hs_object_id"}),
        created_property=created,
        modified_property=modified,
        properties={str(d["name"]): d for d in (*properties, *every)},
        groups={
            "information": {
                "name": "information",
                "label": "Information",
                "displayOrder": 0,
                "archived": False,
            }
        },
        pipelines=_pipelines(names[0], now),
    )


def property_definitions(lines: str, now: float) -> list[Definition]:
    return [_definition(_spec(line), now) for line in lines.splitlines() if line.strip()]


def _definition(spec: Spec, now: float) -> Definition:
    type_, _, field_type = spec.type.partition("/")
    computed = "computed" in spec.marks
    return {
        "updatedAt": stamp(now),
        "createdAt": stamp(now),
        "name": spec.name,
        "label": spec.name.replace("_", " ").capitalize(),
        "type": type_,
        "fieldType": field_type,
        "description": "",
        "groupName": "information",
        "options": options(spec.options),
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": spec.name == "hubspot_owner_id",
        "archived": False,
        "hasUniqueValue": "unique" in spec.marks,
        "hidden": False,
        "hubspotDefined": True,
        "modificationMetadata": {
            "archivable": False,
            "readOnlyDefinition": True,
            "readOnlyValue": computed,
        },
        "formField": not computed,
    }


def options(values: Iterable[str]) -> list[JSON]:
    return [
        {"label": v.capitalize(), "value": v, "displayOrder": at, "hidden": False}
        for at, v in enumerate(values)
    ]


# --- pipelines --------------------------------------------------------------------------

_STAGES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "0-3": (
        ("appointmentscheduled", "Appointment Scheduled", "0.2"),
        ("contractsent", "Contract Sent", "0.9"),
        ("closedwon", "Closed Won", "1.0"),
        ("closedlost", "Closed Lost", "0.0"),
    ),
    "0-5": (("1", "New", ""), ("2", "Waiting on contact", ""), ("4", "Closed", "")),
}


def _pipelines(type_id: str, now: float) -> dict[str, Definition]:
    stages = _STAGES.get(type_id)
    if stages is None:
        return {}
    name = "default" if type_id == "0-3" else "0"
    listed: list[JSON] = [
        stage_definition(
            id_, {"label": label, "displayOrder": at, "metadata": _metadata(odds)}, now
        )
        for at, (id_, label, odds) in enumerate(stages)
    ]
    return {name: pipeline_definition(name, {"label": "Main Pipeline"}, listed, now)}


def _metadata(odds: str) -> JSON:
    closed: JSON = str(odds in ("1.0", "0.0")).lower()
    return {"isClosed": closed, "probability": odds} if odds else {"isClosed": closed}


def pipeline_definition(
    id_: str, given: Mapping[str, JSON], stages: list[JSON], now: float
) -> Definition:
    """A pipeline with its stages, as HubSpot shows one, from what a request gives."""
    return {
        "label": given.get("label", ""),
        "displayOrder": given.get("displayOrder", 0),
        "id": id_,
        "stages": stages,
        "createdAt": stamp(now),
        "updatedAt": stamp(now),
        "archived": False,
    }


def stage_definition(id_: str, given: Mapping[str, JSON], now: float) -> Definition:
    """A stage as HubSpot shows one, from what a request gives."""
    return {
        "label": given.get("label", ""),
        "displayOrder": given.get("displayOrder", 0),
        "metadata": given.get("metadata") or {},
        "id": id_,
        "createdAt": stamp(now),
        "updatedAt": stamp(now),
        "archived": False,
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
    }

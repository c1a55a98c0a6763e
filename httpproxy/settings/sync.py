"""How the tables are kept: how often an API is asked, and what may be deleted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from httpproxy.settings.kinds import (
    AT_LEAST_ONE,
    COUNT,
    SECONDS,
    SHARE,
    AtLeastOne,
    Count,
    Seconds,
    Share,
    setting,
)


class SyncSettings(BaseModel):
    """The settings of the background sync. Times are in seconds."""

    sync_interval: Seconds = setting(
        60.0, "How long after one look for changes at an API the next one begins.", SECONDS
    )
    sweep_interval: Annotated[float, Field(gt=0, le=2_592_000, allow_inf_nan=False)] = setting(
        21_600.0,
        "How long after a complete listing of a collection the next one begins: it finds"
        " what was deleted, and whatever the looks for changes have missed.",
        "seconds, more than 0 and at most 2592000 (30 days)",
    )
    discovery_interval: Seconds = setting(
        600.0, "How often new, renamed and removed fields are looked for.", SECONDS
    )
    verify_interval: Seconds = setting(
        3_600.0, "How often a few rows of a sync are compared with the API.", SECONDS
    )
    verify_sample: Count = setting(
        5, "How many rows are compared each time; 0 switches the comparing off.", COUNT
    )
    mass_delete_share: Share = setting(
        0.2,
        "A listing that lacks more than this share of a collection's rows deletes nothing"
        " until you say so.",
        SHARE,
    )
    mass_delete_minimum: Count = setting(
        10, "So many missing rows are never held back, however small the collection.", COUNT
    )
    sync_concurrency: AtLeastOne = setting(
        64, "How many jobs of all syncs this process works on at once.", AT_LEAST_ONE
    )

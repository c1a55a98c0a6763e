"""What can be set about the simulator: limits, lags, and what nobody has verified.

Where HubSpot's documents and descriptions leave a behaviour open, it is a switch with
the likelier position as its default, so that a test can run against both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Switches:
    """See `kit.create` for what each one does."""

    requests_per_ten_seconds: int = 100
    searches_per_second: int = 5
    requests_per_day: int = 250_000
    search_lag: float = 0.0
    access_lifetime: float = 1800.0
    full_answers: bool = False
    cleared_as_null: bool = False
    numeric_association_ids: bool = True
    merge_makes_new_id: bool = True
    merged_ids_in_batch_read: bool = False
    removed_in_archived_lists: bool = False
    associations_touch_records: bool = False
    associations_of_archived: bool = False
    lifecycle_stage_only_forward: bool = True
    missing_archive_is_204: bool = True
    standard_schemas: bool = True
    dated_batch_create_status: Literal[200, 201] = 201
    dated_association_archive_status: Literal[200, 204] = 200

"""What can be set about the simulated Airtable; every switch has a default.

Most stand for behaviour of the real service that nobody has verified; the default is
the likelier one. The rest turn limits and annoyances on and off.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    """
    base_rate           requests a second per base; 0: no limit
    token_rate          requests a second per user; 0: no limit
    rate_interval       the seconds in which they are counted
    penalty             seconds of 429 after the limit was passed
    monthly_calls       record calls until the monthly quota is spent; None: endless
    iterator_lifetime   seconds until an unused `offset` expires
    missing_status      403 or 404 for a record that does not exist
    missing_as_string   404 says "error": "NOT_FOUND", or an object with that type
    atomic_batches      a bad record in a batch refuses it all before anything is written
    inverse_modifies    a link written from the other side counts as a modification
    base_wide_get       a record is found under any table of its base
    attachment_delay    seconds until a new attachment has its size and type
    partial_success     reason with which new attachments fail, "" for none:
                        "attachmentsFailedUploading", "attachmentUploadRateIsTooHigh"
    webhooks_allowed    tokens may manage webhooks
    access_lifetime     seconds that an OAuth app's access token is good for
    refresh_lifetime    seconds that a refresh token is, if nobody uses it
    refresh_ends_access the access token before is no good any more after a refresh
    reuse_ends_grant    a refresh token that comes twice ends all tokens of its grant
    gzip                answers are compressed for clients that accept it
    """

    base_rate: int = 5
    token_rate: int = 50
    rate_interval: float = 1.0
    penalty: float = 30.0
    monthly_calls: int | None = None
    iterator_lifetime: float = 300.0
    missing_status: int = 403
    missing_as_string: bool = True
    atomic_batches: bool = True
    inverse_modifies: bool = True
    base_wide_get: bool = True
    attachment_delay: float = 0.0
    partial_success: str = ""
    webhooks_allowed: bool = True
    access_lifetime: float = 3600.0
    refresh_lifetime: float = 5_184_000.0
    refresh_ends_access: bool = True
    reuse_ends_grant: bool = True
    gzip: bool = False

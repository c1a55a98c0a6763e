"""The families of metrics: names, types, labels, and what they say. Pure.

docs/operations.md has the same table, and a test compares the two. What a process knows of
itself carries the label `worker` besides; what the database knows (SHARED) does not, since
every worker would say the same.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]


class Family(NamedTuple):
    """A family as it is described; a counter's samples have `_total` at their names' end."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    shared: bool = False

    @property
    def shown(self) -> str:
        """The name that queries use."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


_PERMIT: Final = ("provider", "budget", "class")
_TABLE: Final = ("sync", "table")


def _counter(name: str, says: str, *labels: str) -> Family:
    return Family(f"httpproxy_{name}", "counter", says, labels)


def _gauge(name: str, says: str, *labels: str) -> Family:
    return Family(f"httpproxy_{name}", "gauge", says, labels)


def _histogram(name: str, says: str, *labels: str) -> Family:
    return Family(f"httpproxy_{name}", "histogram", says, labels)


def _shared(name: str, kind: Kind, says: str, *labels: str) -> Family:
    return Family(f"httpproxy_{name}", kind, says, labels, shared=True)


FAMILIES: Final = (
    _gauge("build_info", "1; the version that runs.", "version"),
    _gauge("ready", "Whether this process should get calls."),
    _gauge("check_failing", "Whether a check of `/readyz` fails.", "check"),
    _gauge("loop_lag_seconds", "How late the event loop was at worst in the last 15 seconds."),
    _histogram(
        "call_seconds",
        "A proxied call from its first line to its answer.",
        "provider",
        "action",
    ),
    _histogram(
        "call_phase_seconds",
        "The phases of a call: admit, permit, intent, send, commit, settle.",
        "provider",
        "action",
        "phase",
    ),
    _counter(
        "receipts",
        "Calls that the API answered, by the receipt's outcome.",
        "provider",
        "action",
        "outcome",
    ),
    _counter("problems", "Calls that the proxy answered itself.", "code", "sent"),
    _counter(
        "upstream_answers",
        "Answers of the APIs by class of status; `caller` is gateway or own.",
        "provider",
        "caller",
        "status",
    ),
    _counter("permits_granted", "Permits given out.", *_PERMIT),
    _counter("permits_waited", "Calls that had to wait for their permit.", *_PERMIT),
    _counter("permits_expired", "Calls that waited in vain.", *_PERMIT),
    _counter("permit_wait_seconds", "Time spent waiting for permits.", *_PERMIT),
    _gauge("permits_waiting", "Calls that wait for a permit now.", *_PERMIT),
    _gauge("permits_running", "Calls under way now.", "provider", "budget"),
    _gauge(
        "lanes_paused", "Accounts that keep silence because the API asked for it.", "provider"
    ),
    _gauge(
        "busiest_lane_waiting",
        "Calls that wait in the five fullest lanes.",
        "provider",
        "account",
        "budget",
    ),
    _gauge(
        "permit_slots",
        "Slots of the rate limits that this process holds.",
        "provider",
        "budget",
    ),
    _counter("leasing_calls", "Database calls made to share rate limits among processes."),
    _gauge("database_available", "Whether commits can be made."),
    _gauge("commit_queue", "Commits that wait."),
    _gauge("commit_lag_seconds", "How long commits have been waiting without one being made."),
    _counter("commits", "Commits made."),
    _counter("commit_batches", "Transactions that they shared."),
    _counter("misfits", "Values that their column could not hold; they are in `_extra`."),
    _counter("quarantined", "Images that the user's tables refused."),
    _counter("sync_jobs", "Jobs of the sync that ended.", "job", "outcome"),
    _histogram("sync_job_seconds", "How long they took.", "job"),
    _counter("spans", "Spans of traces, by what became of them.", "outcome"),
    _counter(
        "api_requests",
        "Requests to `/v1`, by operation and class of status.",
        "operation",
        "status",
    ),
    _histogram("api_request_seconds", "How long the operations took.", "operation"),
    _counter(
        "token_refreshes",
        "Refreshes of stored tokens; `outcome` is refreshed, failed (tried again) or spent.",
        "provider",
        "outcome",
    ),
    _gauge("replica_waiters", "Requests that wait for a replica.", "replica"),
    _gauge("stream_readers", "Readers that listen to events or records."),
    _shared("standing_age_seconds", "gauge", "How old the answers of the database below are."),
    _shared("intents", "gauge", "Intents without an end, by state.", "state"),
    _shared("intents_oldest_seconds", "gauge", "The age of the oldest intent."),
    _shared("processes", "gauge", "Serving processes on this database."),
    _shared("syncs", "gauge", "Syncs by status.", "status"),
    _shared(
        "collection_lag_seconds",
        "gauge",
        "Since the last word of the collection's feed, or its last listing.",
        *_TABLE,
    ),
    _shared(
        "collection_unlisted_seconds", "gauge", "Since the last complete listing.", *_TABLE
    ),
    _shared("collection_failures", "gauge", "Failures in a row.", *_TABLE),
    _shared("collection_held", "gauge", "Whether deletes wait for the operator.", *_TABLE),
    _shared("truth_checked", "counter", "Rows that were compared with the API.", *_TABLE),
    _shared("truth_drifted", "counter", "Rows of those that differed.", *_TABLE),
    _shared(
        "stream_lag_seconds",
        "gauge",
        "For how long the oldest event waits that no stream tells yet.",
    ),
    _shared(
        "credentials_unrefreshed", "gauge", "Credentials whose last refresh came to nothing."
    ),
    _shared(
        "credentials_expiring",
        "gauge",
        "Credentials of active syncs whose token ends within five minutes, or has ended.",
    ),
    _shared("collections_left_out", "gauge", "Collections beyond the 500 shown."),
)

BY_NAME: Final = {family.name.removeprefix("httpproxy_"): family for family in FAMILIES}

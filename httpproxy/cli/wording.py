"""How the command line says what `sync.health` knows: durations, counts, phases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from httpproxy.sync.health import Health, Phase

_COUNTED: Final = 10_000  # so far the database counts marks and rows one by one
_NAMED: Final = 3
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(seconds: float | None) -> str:
    """ "0.4 s", "12 s", "3 min", "2 h", "5 d"; "-" for None."""
    if seconds is None:
        return "-"
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def ago(moment: float | None, now: float) -> str:
    """ "3 min ago"; "never" for None. Both are seconds since the epoch."""
    return "never" if moment is None else f"{duration(max(0.0, now - moment))} ago"


def doing(health: Health) -> str:
    """The phase, and how far it is: "backfill", "resync 42 %", "live"."""
    name = "resync" if _is_resync(health) else health.phase.value
    return name if health.share is None else f"{name} {health.share:.0%}".replace("%", " %")


def rows(count: int) -> str:
    """ "9,999", ">10,000": from there on it is an estimate, once Postgres has made one."""
    return f">{_COUNTED:,}" if count == _COUNTED + 1 else f"{count:,}"


def _is_resync(health: Health) -> bool:
    return health.phase is Phase.SWEEP and health.thorough


def waiting(health: Health) -> str:
    """What is to be read again: "12 marks", "all", ""."""
    parts = ["all"] if health.whole else []
    if health.marks:
        more = "+" if health.marks >= _COUNTED else ""
        parts.append(f"{health.marks:,}{more} mark{'' if health.marks == 1 else 's'}")
    return " and ".join(parts)


def requests(counts: Mapping[str, int]) -> str:
    """ "reread 12, backfill 170"; "none" where there are none."""
    return ", ".join(f"{name} {n:,}" for name, n in counts.items() if n) or "none"


def truth(health: Health) -> str:
    """What the comparisons with the API have said, "-" before the first."""
    if not health.checked:
        return "-"
    return f"{health.checked:,} compared, {health.drifted:,} differed"


def named(collections: Sequence[Health]) -> str:
    """ "contact, company, deal and 27 more"."""
    names = [each.table for each in collections]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def alike(collections: Iterable[Health]) -> list[list[Health]]:
    """Those in which something is wrong, together where it is the same: a token that was
    revoked is one trouble, however many collections have it."""
    found: dict[tuple[str, str], list[Health]] = {}
    for health in collections:
        if health.error:
            found.setdefault((health.error, health.remedy), []).append(health)
    return list(found.values())


def wrong(together: Sequence[Health], now: float) -> str:
    """What is wrong with collections that are `alike`: since when, and how often tried."""
    failures = max(each.failures for each in together)
    tries = f", {failures} times" if failures > 1 else ""
    began = min((each.since for each in together if each.since is not None), default=None)
    since = "" if began is None else f" (since {duration(now - began)}{tries})"
    return f"{together[0].error}{since}"

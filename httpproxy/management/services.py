"""What manages what: made once for a process, from what works on the registry."""

from __future__ import annotations

from dataclasses import dataclass

from httpproxy.management.columns import Columns
from httpproxy.office import Office


@dataclass(frozen=True)
class Services:
    """The services of `management`, one for each kind of thing."""

    office: Office
    columns: Columns


def make_services(office: Office) -> Services:
    """The services, on the database and the clients of an office."""
    return Services(office=office, columns=Columns(office))

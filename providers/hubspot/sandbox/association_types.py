"""In which ways records of two types can belong together, in a fresh portal."""

from __future__ import annotations

from typing import Final

from providers.hubspot.objects import STANDARD
from providers.hubspot.sandbox.state import AssociationType

# from, to, type id there, type id back, label there, label back. The first of two types
# is the unlabelled one.
_TYPES: Final[tuple[tuple[str, str, int, int, str, str], ...]] = (
    ("0-1", "0-2", 279, 280, "", ""),
    ("0-1", "0-2", 1, 2, "Primary", "Primary"),
    ("0-1", "0-3", 4, 3, "", ""),
    ("0-1", "0-5", 15, 16, "", ""),
    ("0-2", "0-3", 342, 341, "", ""),
    ("0-2", "0-3", 6, 5, "Primary", "Primary"),
    ("0-2", "0-5", 340, 339, "", ""),
    ("0-2", "0-5", 25, 26, "Primary", "Primary"),
    ("0-3", "0-5", 27, 28, "", ""),
    ("0-3", "0-8", 19, 20, "", ""),
    ("0-1", "0-1", 449, 449, "", ""),
    ("0-2", "0-2", 450, 450, "", ""),
    ("0-2", "0-2", 13, 14, "Child Company", "Parent Company"),
    ("0-3", "0-3", 451, 451, "", ""),
    ("0-48", "0-1", 194, 193, "", ""),
    ("0-48", "0-2", 182, 181, "", ""),
    ("0-48", "0-3", 206, 205, "", ""),
    ("0-49", "0-1", 198, 197, "", ""),
    ("0-49", "0-2", 186, 185, "", ""),
    ("0-49", "0-3", 210, 209, "", ""),
    ("0-47", "0-1", 200, 199, "", ""),
    ("0-47", "0-2", 188, 187, "", ""),
    ("0-47", "0-3", 212, 211, "", ""),
    ("0-46", "0-1", 202, 201, "", ""),
    ("0-46", "0-2", 190, 189, "", ""),
    ("0-46", "0-3", 214, 213, "", ""),
    ("0-27", "0-1", 204, 203, "", ""),
    ("0-27", "0-2", 192, 191, "", ""),
    ("0-27", "0-3", 216, 215, "", ""),
)


def association_types() -> dict[str, list[AssociationType]]:
    """ "0-1>0-2" -> the types in that direction; both directions of each."""
    found: dict[str, list[AssociationType]] = {}
    names = {kind.id: kind.singular for kind in STANDARD}
    for origin, target, there, back, label, label_back in _TYPES:
        name, name_back = (
            f"{names[origin]}_to_{names[target]}",
            f"{names[target]}_to_{names[origin]}",
        )
        add_type(found, (origin, target), (there, name, label), (back, name_back, label_back))
    return found


def add_type(
    types: dict[str, list[AssociationType]],
    ends: tuple[str, str],
    there: tuple[int, str, str],
    back: tuple[int, str, str],
    category: str = "HUBSPOT_DEFINED",
) -> None:
    """Adds a type in both directions; each is (type id, name, label or "")."""
    origin, target = ends
    directions = [((origin, target), there, back), ((target, origin), back, there)]
    for (one, other), (id_, name, label), (inverse, _, _) in directions:
        listed = types.setdefault(f"{one}>{other}", [])
        if all(each.id != id_ for each in listed):
            listed.append(AssociationType(id_, category, name, label or None, inverse))

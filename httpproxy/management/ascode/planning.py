"""What is to be done so that what there is becomes what a file declares. Pure.

Things are told apart by their names. What a file does not say of a sync or a credential is
as if it had said the default; columns alone are left as they are where it does not name them.
Nothing is deleted unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from httpproxy.management.ascode.current import Current, StoredCredential, StoredSync
from httpproxy.management.ascode.declared import (
    CREDENTIALS,
    OAUTH_APPS,
    SYNCS,
    Declared,
    Misdeclared,
)
from httpproxy.management.ascode.drafting import Draft, Plan, Secrets, Step
from httpproxy.management.ascode.opening import (
    plan_app,
    plan_credential,
    stored_credential,
)
from httpproxy.management.ascode.syncs import differences_of, fixed_of
from httpproxy.management.naming import provider_named
from httpproxy.management.problems import Declined


def plan(declared: Declared, secrets: Secrets, current: Current, *, prune: bool) -> Plan:
    """The plan. Raises Misdeclared for what cannot be, with every place that is wrong."""
    draft = Draft(declared, secrets, current)
    for name, app in declared.oauth_apps.items():
        plan_app(draft, name, app)
    for name, credential in declared.credentials.items():
        plan_credential(draft, name, credential)
    for name in declared.syncs:
        _sync(draft, name)
    if draft.wrong:
        raise Misdeclared(draft.wrong)
    if prune:
        draft.steps += _superfluous(draft)
    return Plan(
        steps=draft.steps, unchanged=draft.unchanged, missing=draft.missing, notes=draft.notes
    )


# --- syncs ---------------------------------------------------------------------------------


def _sync(draft: Draft, name: str) -> None:
    declared, stored = draft.declared.syncs[name], draft.current.syncs.get(name)
    try:
        provider_named(declared.provider, "provider")
        if stored is not None:
            fixed = fixed_of(declared, stored.document)
            for member, has in fixed.items():
                detail = f"is {has!r} and cannot be changed; make another sync."
                draft.refuse(SYNCS, name, member, detail)
            if fixed:
                return
        before, after = differences_of(declared, stored)
    except Declined as declined:
        draft.refuse(SYNCS, name, declined.members.get("member", ""), declined.detail)
        return
    credential = _credential_of(draft, name, stored)
    if stored is None:
        draft.make(SYNCS, name)
        return
    if declared.credential is not None:
        used = draft.current.credentials.get(stored.document.credential_id or "")
        if credential is None or used is None or credential is not used:
            before["credential"] = used.label if used else None
            after["credential"] = declared.credential
    draft.compare(SYNCS, name, before, after)


def _credential_of(
    draft: Draft, name: str, stored: StoredSync | None
) -> StoredCredential | None:
    """The stored credential that a sync is to use; None if it is to be made, or to stay."""
    wanted = draft.declared.syncs[name].credential
    if wanted is None:
        if stored is None:
            draft.refuse(SYNCS, name, "credential", "is missing.")
        return None
    declared = draft.declared.credentials.get(wanted)
    if declared is not None:
        try:
            return stored_credential(draft.current, wanted, declared)
        except Declined:
            return None  # of a kind that there is not: it was refused already
    found = draft.current.credential(wanted)
    if found is None:
        detail = f"there is no credential {wanted[:80]!r}, in the file or stored."
        draft.refuse(SYNCS, name, "credential", detail)
    else:
        draft.kept.add(found.credential.id)
    return found


# --- what the file does not name ----------------------------------------------------------


def _superfluous(draft: Draft) -> Iterator[Step]:
    """Deletions of what the file does not name and nothing that stays needs: syncs first."""
    declared, current = draft.declared, draft.current
    gone = [each for name, each in current.syncs.items() if name not in declared.syncs]
    yield from _deletions(SYNCS, (each.document.name for each in gone))
    ended = {each.document.credential_id for each in gone}
    stay = [each for name, each in current.syncs.items() if name in declared.syncs]
    needed = draft.kept | {each.document.credential_id for each in stay}
    credentials = [
        each for each in current.credentials.values() if each.credential.id not in needed
    ]
    yield from _deletions(
        CREDENTIALS,
        # One that was made with a sync goes with its last sync.
        (
            each.label
            for each in credentials
            if not (each.credential.implicit and each.credential.id in ended)
        ),
    )
    apps = draft.kept | {
        each.credential.app_id
        for each in current.credentials.values()
        if each not in credentials
    }
    yield from _deletions(
        OAUTH_APPS, (each.label for id_, each in current.oauth_apps.items() if id_ not in apps)
    )


def _deletions(section: str, names: Iterable[str]) -> Iterator[Step]:
    return (Step(action="delete", section=section, name=name) for name in names)

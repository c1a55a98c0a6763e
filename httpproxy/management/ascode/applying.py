"""Does what a plan says, step by step, by the services that the API has.

A step that fails ends it. What is done stays done: the next plan is for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from httpproxy.management.ascode.current import Current, in_detail
from httpproxy.management.ascode.declared import (
    CREDENTIALS,
    OAUTH_APPS,
    Declared,
    DeclaredCredential,
    DeclaredSync,
    Misdeclared,
)
from httpproxy.management.ascode.drafting import Plan, Secrets, Step
from httpproxy.management.ascode.opening import stored_app, stored_credential
from httpproxy.management.ascode.syncs import column_steps
from httpproxy.management.columns import ColumnPatch
from httpproxy.management.credentials.entering import CredentialPatch, NewCredential
from httpproxy.management.credentials.oauth_apps import NewOAuthApp, OAuthAppPatch
from httpproxy.management.problems import Declined
from httpproxy.management.services import Services
from httpproxy.management.syncs.documents import NewSync, SyncPatch
from httpproxy.store.registry import Sync

_RESUMED: Final = SyncPatch.model_validate({"status": "active"})


class Applying:
    """Applies one plan of one file. Raises what the services raise."""

    def __init__(
        self, services: Services, declared: Declared, secrets: Secrets, current: Current
    ) -> None:
        self._services = services
        self._declared = declared
        self._secrets = secrets
        self._current = current

    async def apply(self, plan: Plan, begun: Callable[[Step], None]) -> None:
        """Every step; `begun` is told of each before it is done. Raises Misdeclared, and
        does nothing, if secrets are missing."""
        if plan.missing:
            raise Misdeclared(plan.missing)
        for step in plan.steps:
            begun(step)
            if step.action == "delete":
                await self._delete(step)
            elif step.section == OAUTH_APPS:
                await self._app(step)
            elif step.section == CREDENTIALS:
                await self._credential(step)
            else:
                await self._sync(step)

    async def _delete(self, step: Step) -> None:
        """Ends a thing; a sync's tables stay."""
        if step.section == OAUTH_APPS:
            await self._services.oauth_apps.delete(step.name)
        elif step.section == CREDENTIALS:
            await self._services.credentials.delete(step.name)
        else:
            await self._services.syncs.delete(await self._named(step.name), drop_tables=False)

    # --- apps and credentials ------------------------------------------------------------

    async def _app(self, step: Step) -> None:
        declared = self._declared.oauth_apps[step.name]
        secret = self._secret(declared.client_secret)
        stored = stored_app(self._current, step.name, declared)
        if stored is None:
            new = NewOAuthApp(
                provider=declared.provider,
                client_id=declared.client_id,
                client_secret=secret,
                name=step.name,
            )
            await self._services.oauth_apps.create(new)
            return
        wanted = {"name": step.name, "client_id": declared.client_id, "client_secret": secret}
        patch = OAuthAppPatch.model_validate(_changed(step, wanted))
        await self._services.oauth_apps.change(stored.app.id, patch)

    async def _credential(self, step: Step) -> None:
        declared = self._declared.credentials[step.name]
        stored = stored_credential(self._current, step.name, declared)
        changed = {each.member for each in step.changes}
        if stored is None or "kind" in changed:
            nameless = stored is not None and stored.credential.id == step.name
            await self._services.credentials.create(
                await self._new_credential(declared, None if nameless else step.name)
            )
            return
        wanted: dict[str, Any] = {
            "name": step.name,
            "access_token": self._secret(declared.access_token),
            "refresh_token": self._secret(declared.refresh_token),
        }
        given = _changed(step, wanted)
        if "oauth_app" in changed:
            given["oauth_app_id"] = await self._app_id(declared.oauth_app)
        if declared.expires_in is not None and "access_token" in given:
            given["expires_in"] = declared.expires_in
        patch = CredentialPatch.model_validate(given)
        await self._services.credentials.change(
            stored.credential.id,
            patch,
            metadata=declared.metadata if "metadata" in changed else None,
        )

    async def _new_credential(
        self, declared: DeclaredCredential, name: str | None
    ) -> NewCredential:
        given = {
            **declared.model_dump(
                include={"kind", "provider", "expires_in", "base_id", "portal_id", "metadata"},
                exclude_none=True,
            ),
            "name": name,
            "access_token": self._secret(declared.access_token),
            "refresh_token": self._secret(declared.refresh_token),
            "oauth_app_id": await self._app_id(declared.oauth_app),
        }
        return NewCredential.model_validate(
            {member: value for member, value in given.items() if value is not None}
        )

    async def _app_id(self, name: str | None) -> str | None:
        if name is None:
            return None
        return (await self._services.oauth_apps.get(name))[0].id

    def _secret(self, reference: str | None) -> str | None:
        return None if reference is None else self._secrets.get(reference)

    # --- syncs ---------------------------------------------------------------------------

    async def _sync(self, step: Step) -> None:
        declared = self._declared.syncs[step.name]
        stored = self._current.syncs.get(step.name)
        if stored is None:
            await self._make(step.name, declared)
            return
        given = await self._patch(step, declared)
        changed = {each.member for each in step.changes}
        columns = any(each.startswith("columns.") for each in changed)
        # It rests until its columns are chosen, as a new one does.
        begins = columns and bool(given.keys() & {"status", "collection_ids"})
        if begins:
            given.pop("status", None)
            if stored.document.status == "active":
                given["status"] = "paused"
        if given or "metadata" in changed:
            await self._services.syncs.change(
                stored.document.id,
                SyncPatch.model_validate(given),
                metadata=declared.metadata if "metadata" in changed else None,
            )
        if columns:
            await self._columns(step.name, declared)
        if begins and declared.status == "active":
            await self._services.syncs.change(stored.document.id, _RESUMED)

    async def _make(self, name: str, declared: DeclaredSync) -> None:
        """Makes a sync. Its columns are chosen before it begins: what is not selected is
        never read into a table."""
        given = declared.model_dump(by_alias=True, exclude={"credential", "columns"})
        given |= {
            "name": name,
            "credential_id": await self._credential_id(declared.credential or ""),
            "status": "paused" if declared.columns else declared.status,
        }
        made, _ = await self._services.syncs.create(NewSync.model_validate(given))
        if declared.columns:
            await self._columns(name, declared)
            if declared.status == "active":
                await self._services.syncs.change(made.id, _RESUMED)

    async def _patch(self, step: Step, declared: DeclaredSync) -> dict[str, Any]:
        """The merge patch of what is to be other than it is; without metadata, which no merge
        patch can make equal to others."""
        given = _changed(
            step,
            {
                "status": declared.status,
                "external_id": declared.external_id,
                "collection_ids": declared.collection_ids,
            },
        )
        for each in step.changes:
            if each.member == "credential":
                given["credential_id"] = await self._credential_id(declared.credential or "")
            elif each.member == "rate_limits":
                given["rate_limits"] = _limits(each.before, each.after)
        return given

    async def _credential_id(self, name: str) -> str:
        return (await self._services.credentials.found(name)).id

    async def _columns(self, name: str, declared: DeclaredSync) -> None:
        sync = await self._named(name)
        document, _ = await self._services.syncs.get(sync.id)
        there = await in_detail(self._services, document)
        for step in column_steps(declared, there):
            wish = ColumnPatch.model_validate(dict(step.after))
            await self._services.columns.change(sync, step.collection_id, step.field, wish)

    async def _named(self, name: str) -> Sync:
        found = await self._services.office.registry.sync(name)
        if found is None:
            raise Declined("unknown_sync", f"The sync {name[:80]!r} was deleted meanwhile.")
        return found


def _changed(step: Step, wanted: dict[str, Any]) -> dict[str, Any]:
    """Those of the wanted members that the step changes."""
    changed = {each.member for each in step.changes}
    return {name: value for name, value in wanted.items() if name in changed}


def _limits(before: Any, after: Any) -> dict[str, Any]:
    """The patch of rate limits: those that differ, whole, and null for those that go."""
    gone = {name: None for name in before if name not in after}
    return gone | {name: each for name, each in after.items() if before.get(name) != each}
